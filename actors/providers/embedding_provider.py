"""Runs an embedding request as a turn, so that it is routed, retried and recorded like an answer.

The vectors are not events of the turn. They are stored in its `EmbeddingJob`, from which the
endpoint reads them once the turn has completed.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct

from actors.ports import ignore
from actors.providers.formats.embeddings import EmbeddingCall, Embeddings
from actors.turn.chunks import Chunk, FinishChunk, TextChunk, UsageChunk
from actors.turn.model_call import ModelCall
from actors.turn.outcome import Reason, Usage
from actors.usage.estimator import estimate_tokens

DIALECT = "embeddings"


class OpenEmbedding(Struct, frozen=True):
    """A response in progress. The caller calls exactly one of `release` and `close`."""

    read: Callable[[], Awaitable[Embeddings]]
    """Reads the complete response; raises `UpstreamFailure`."""
    release: Callable[[], None]
    """Returns the connection for reuse after a complete response."""
    close: Callable[[], None]
    """Aborts the response; the socket is closed before this returns."""


class Embedder(Protocol):
    """A provider of embeddings."""

    @property
    def name(self) -> str:
        """Name of the provider in the configuration."""

    async def embed(
        self, request: EmbeddingCall, upstream_model: str, *, connect_s: float
    ) -> OpenEmbedding:
        """Send the request and wait for the response head; raises `UpstreamFailure`."""


class EmbeddingJob:
    """The request and the result of one turn's embedding."""

    __slots__ = ("request", "result")

    def __init__(self, request: EmbeddingCall) -> None:
        self.request = request
        self.result: Embeddings | None = None
        """Embeddings, once a provider has answered."""


class EmbeddingProvider:
    """An adapter from an embedder to `actors.ports.Provider` for one turn."""

    def __init__(self, embedder: Embedder, job: EmbeddingJob) -> None:
        self._embedder = embedder
        self._job = job

    @property
    def name(self) -> str:
        """Name of the provider in the configuration."""
        return self._embedder.name

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """Return no parameters: none is known to be unsupported before the request."""
        return ()

    async def open(
        self, call: ModelCall, *, connect_s: float, alive: Callable[[], None] = ignore
    ) -> "EmbeddingAnswer":
        """See `actors.ports.Provider.open`."""
        model = call.upstream_model
        answer = await self._embedder.embed(self._job.request, model, connect_s=connect_s)
        return EmbeddingAnswer(answer, self._job)


class EmbeddingAnswer:
    """An adapter from an open embedding to `actors.ports.AnswerStream`, read in one piece."""

    __slots__ = ("_answer", "_done", "_job", "close", "ignored", "release")

    def __init__(self, answer: OpenEmbedding, job: EmbeddingJob) -> None:
        self._answer = answer
        self._job = job
        self._done = False
        self.ignored: tuple[str, ...] = ()
        self.release = answer.release
        self.close = answer.close

    async def receive(self) -> list[Chunk]:
        """Return an empty text, the usage and the finish in one list; further calls return `[]`."""
        if self._done:
            return []
        self._done = True
        result = self._job.result = await self._answer.read()
        usage = result.usage or _estimated(self._job.request)
        # The empty text counts as content: it makes the attempt successful and chargeable.
        return [TextChunk(""), UsageChunk(usage), FinishChunk(Reason.STOP)]


def _estimated(request: EmbeddingCall) -> Usage:
    tokens = sum(map(estimate_tokens, request.texts))
    return Usage(input_tokens=tokens, output_tokens=0, estimated=True)
