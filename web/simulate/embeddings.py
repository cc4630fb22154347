"""Embeddings on the provider's side, sans IO: played like an answer of one token.

Shapes from OpenAI's API reference, "Create embeddings".
"""

from collections.abc import Sequence

import msgspec

from actors.chunks import Chunk, UsageChunk
from actors.providers.base import JSON
from actors.providers.embeddings import EmbeddingAsk
from actors.providers.simulated.embeddings import (
    BadDimensions,
    dimensions_of,
    one_token,
    vectors,
)
from actors.providers.simulated.rejections import Rejection
from web.embedding_request import read_embedding_request
from web.errors import ApiError
from web.json_body import json_object
from web.simulate.openai_chat import OpenAIChat
from web.simulate.wire import Ask, BadCall

_encode = msgspec.json.encode


class EmbeddingCall(Ask, frozen=True, kw_only=True):
    """A call for embeddings: with what is to be embedded."""

    embedding: EmbeddingAsk


class Embeddings:
    """The wire format of embeddings, which are never streamed."""

    stream_type = "application/json"

    def takes(self, path: str) -> bool:
        """Whether embeddings are asked for at `path`."""
        return path == "/v1/embeddings"

    def read(self, path: str, body: bytes) -> Ask:
        """Read a request's body; raises `BadCall`."""
        try:
            document = json_object(body)
            asked = read_embedding_request(document)
            dimensions_of(asked.ask.parameters)
        except ApiError as error:
            raise BadCall(error.info.message, error.info.param) from None
        except BadDimensions as error:
            raise BadCall(str(error), "dimensions") from None
        metadata: JSON = document.get("metadata")
        user = document.get("user")
        return EmbeddingCall(
            call=one_token(asked.ask, asked.model),
            stream=False,
            include_usage=False,
            user=user if isinstance(user, str) else None,
            metadata=metadata if isinstance(metadata, dict) else None,
            embedding=asked.ask,
        )

    def renderer(self, ask: Ask, number: int, created: int) -> "EmbeddingRenderer":
        """A renderer of the vectors that `ask` is for."""
        if not isinstance(ask, EmbeddingCall):
            raise TypeError("this wire renders what it has read")
        return EmbeddingRenderer(ask)

    def error_body(self, rejection: Rejection) -> bytes:
        """The body of an error response, as that of a chat."""
        return OpenAIChat().error_body(rejection)


class EmbeddingRenderer:
    """Renders the answer, all of it at once."""

    def __init__(self, ask: EmbeddingCall) -> None:
        self._ask = ask.embedding
        self._model = ask.call.upstream_model

    def whole(self, chunks: Sequence[Chunk]) -> bytes:
        """The body."""
        ask = self._ask
        made = vectors(
            self._model, ask.texts, dimensions_of(ask.parameters), as_base64=ask.as_base64
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
        """Nothing: there are no streams."""
        return b""

    def torn(self, chunk: Chunk) -> bytes:
        """Nothing: there are no streams."""
        return b""

    def broken_off(self) -> bytes:
        """Nothing: there are no streams."""
        return b""

    def error_frame(self, code: str | None) -> bytes:
        """Nothing: there are no streams."""
        return b""

    def end(self) -> bytes:
        """Nothing: there are no streams."""
        return b""
