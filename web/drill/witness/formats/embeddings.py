"""Server side of OpenAI's embeddings API, sans IO, simulated as an answer of one token.

Shapes come from OpenAI's API reference, "Create embeddings".
"""

from collections.abc import Sequence

import msgspec

from actors.providers.formats.embeddings import EmbeddingCall
from actors.providers.simulated.embeddings import BadDimensions, dimensions_of, one_token, vectors
from actors.providers.simulated.rejections import Rejection
from actors.turn.chunks import Chunk, UsageChunk
from actors.turn.model_call import JSON
from web.drill.witness.formats.base import BadCall, IncomingCall
from web.drill.witness.formats.openai_chat import OpenAIChat
from web.http.api_error import ApiError
from web.http.json_body import json_object
from web.surfaces.embeddings.request import read_embedding_request

_encode = msgspec.json.encode


class SimulatedEmbeddingCall(IncomingCall, frozen=True, kw_only=True):
    """An embedding call; `embedding` holds the inputs."""

    embedding: EmbeddingCall


class Embeddings:
    """Wire format of embeddings, which are never streamed."""

    stream_type = "application/json"

    def matches(self, path: str) -> bool:
        """Return whether `path` is the path of embedding requests."""
        return path == "/v1/embeddings"

    def read(self, path: str, body: bytes) -> IncomingCall:
        """Parse a request body. Raises `BadCall`."""
        try:
            document = json_object(body)
            parsed = read_embedding_request(document)
            dimensions_of(parsed.call.parameters)
        except ApiError as error:
            raise BadCall(error.info.message, error.info.param) from None
        except BadDimensions as error:
            raise BadCall(str(error), "dimensions") from None
        metadata: JSON = document.get("metadata")
        user = document.get("user")
        return SimulatedEmbeddingCall(
            call=one_token(parsed.call, parsed.model),
            stream=False,
            include_usage=False,
            user=user if isinstance(user, str) else None,
            metadata=metadata if isinstance(metadata, dict) else None,
            embedding=parsed.call,
        )

    def renderer(self, incoming: IncomingCall, number: int, created: int) -> "EmbeddingRenderer":
        """Return a renderer for a call that this format has read; raise `TypeError` otherwise."""
        if not isinstance(incoming, SimulatedEmbeddingCall):
            raise TypeError("the call was not read by this wire format")
        return EmbeddingRenderer(incoming)

    def error_body(self, rejection: Rejection) -> bytes:
        """Return the body of an error response, in the shape of Chat Completions."""
        return OpenAIChat().error_body(rejection)


class EmbeddingRenderer:
    """A renderer of one embeddings answer."""

    def __init__(self, incoming: SimulatedEmbeddingCall) -> None:
        self._ask = incoming.embedding
        self._model = incoming.call.upstream_model

    def whole(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the body."""
        incoming = self._ask
        made = vectors(
            self._model,
            incoming.texts,
            dimensions_of(incoming.parameters),
            as_base64=incoming.as_base64,
        )
        items = [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(made)
        ]
        body: dict[str, object] = {"object": "list", "data": items, "model": self._model}
        for chunk in chunks:
            if isinstance(chunk, UsageChunk):
                tokens = chunk.usage.input_tokens
                body["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
        return _encode(body)

    def frame(self, chunk: Chunk) -> bytes:
        """Return nothing: embeddings are never streamed."""
        return b""

    def torn_frame(self, chunk: Chunk) -> bytes:
        """Return nothing: embeddings are never streamed."""
        return b""

    def half_frame(self) -> bytes:
        """Return nothing: embeddings are never streamed."""
        return b""

    def error_frame(self, code: str | None) -> bytes:
        """Return nothing: embeddings are never streamed."""
        return b""

    def end(self) -> bytes:
        """Return nothing: embeddings are never streamed."""
        return b""
