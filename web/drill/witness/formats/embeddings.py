"""Server side of OpenAI's embeddings API, simulated as an answer of one token.

Shapes come from OpenAI's API reference, "Create embeddings".
"""

from collections.abc import Sequence

from actors.providers.simulated.embeddings import dimensions_of, one_token, vectors
from actors.providers.simulated.rejections import Rejected
from actors.turn.model_call import JSON
from actors.turn.outcome import Reason, Usage
from web.drill.witness.formats.base import Content, IncomingCall, Renderer, WireFormat, encode
from web.http.api_error import ApiError
from web.surfaces.embeddings.request import read_embedding_request


class EmbeddingRenderer(Renderer):
    """A renderer of one embeddings answer, which the call has as its options."""

    def document(self, content: Sequence[Content], reason: Reason, usage: Usage | None) -> bytes:
        answer = dict(self._incoming.options)
        if usage is not None:
            tokens = usage.input_tokens
            answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
        return encode(answer)


def _parse(document: dict[str, JSON], path: str) -> IncomingCall:
    request = read_embedding_request(document)
    call, model = request.call, request.model
    try:
        dimensions = dimensions_of(call.parameters)
    except Rejected as rejected:
        raise ApiError(rejected.error) from None
    made = vectors(model, call.texts, dimensions, as_base64=call.as_base64)
    items = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(made)
    ]
    return IncomingCall(
        call=one_token(call, model),
        stream=False,
        user=call.parameters.get("user"),
        metadata=call.parameters.get("metadata"),
        options={"object": "list", "data": items, "model": model},
    )


WIRE = WireFormat("/v1/embeddings", _parse, EmbeddingRenderer)
"""Wire format of embeddings, which are never streamed; errors are those of a chat."""
