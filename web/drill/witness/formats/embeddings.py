"""Server side of OpenAI's embeddings API, simulated as an answer of one token.

Shapes come from OpenAI's API reference, "Create embeddings".
"""

from collections.abc import Sequence

from actors.providers.formats.embeddings import EmbeddingCall
from actors.providers.simulated.embeddings import dimensions_of, one_token, vectors
from actors.providers.simulated.rejections import Rejected
from actors.turn.outcome import Reason, Usage
from web.drill.witness.formats.base import Content, IncomingCall, Renderer, encode
from web.drill.witness.formats.openai_chat import OpenAIChat
from web.http.api_error import ApiError
from web.http.json_body import json_object
from web.surfaces.embeddings.request import read_embedding_request


class SimulatedEmbeddingCall(IncomingCall, frozen=True, kw_only=True):
    """An embedding call; `embedding` holds the inputs."""

    embedding: EmbeddingCall


class Embeddings(OpenAIChat):
    """Wire format of embeddings, which are never streamed; errors are those of a chat."""

    def matches(self, path: str) -> bool:
        return path == "/v1/embeddings"

    def read(self, path: str, body: bytes) -> IncomingCall:
        request = read_embedding_request(json_object(body))
        try:
            dimensions_of(request.call.parameters)
        except Rejected as rejected:
            raise ApiError(rejected.error) from None
        return SimulatedEmbeddingCall(
            call=one_token(request.call, request.model),
            stream=False,
            user=request.call.parameters.get("user"),
            metadata=request.call.parameters.get("metadata"),
            embedding=request.call,
        )

    def renderer(self, incoming: IncomingCall, number: int, created: int) -> "EmbeddingRenderer":
        """Return a renderer for a call that this format has read; raise `TypeError` otherwise."""
        if not isinstance(incoming, SimulatedEmbeddingCall):
            raise TypeError("the call was not read by this wire format")
        return EmbeddingRenderer(incoming)


class EmbeddingRenderer(Renderer):
    """A renderer of one embeddings answer."""

    def __init__(self, incoming: SimulatedEmbeddingCall) -> None:
        super().__init__(incoming)
        self._call = incoming.embedding
        self._model = incoming.call.upstream_model

    def document(self, content: Sequence[Content], reason: Reason, usage: Usage | None) -> bytes:
        call = self._call
        dimensions = dimensions_of(call.parameters)
        made = vectors(self._model, call.texts, dimensions, as_base64=call.as_base64)
        items = [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(made)
        ]
        body: dict[str, object] = {"object": "list", "data": items, "model": self._model}
        if usage is not None:
            tokens = usage.input_tokens
            body["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
        return encode(body)
