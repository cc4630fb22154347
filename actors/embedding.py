"""An embedding is a turn: the same routes, breakers, clocks, attempts and records as an answer.

Its vectors take no part in the turn's events. They are laid down beside it, where whoever asked
finds them once the turn has ended well.
"""

from collections.abc import Mapping
from typing import Protocol

from actors.chunks import Chunk, FinishChunk, TextChunk, UsageChunk
from actors.outcome import Reason, Usage
from actors.providers.base import ModelCall
from actors.providers.embeddings import EmbeddingAsk, Embeddings
from actors.usage import estimate_tokens

DIALECT = "embeddings"


class OpenEmbedding(Protocol):
    """An answer on its way. Whoever opened it calls exactly one of `release` and `close`."""

    async def read(self) -> Embeddings:
        """Wait for all of it; raises `UpstreamFailure`."""

    def release(self) -> None:
        """It is whole: keep its connection if it can be reused."""

    def close(self) -> None:
        """Drop it: its socket is closed before this returns."""


class Embedder(Protocol):
    """A provider that makes embeddings."""

    @property
    def name(self) -> str:
        """The provider's name in the configuration."""

    async def embed(
        self, ask: EmbeddingAsk, upstream_model: str, *, connect_s: float
    ) -> OpenEmbedding:
        """Ask, and wait for the response's head; raises `UpstreamFailure`."""


class EmbeddingJob:
    """One turn's embedding: what is asked, and what came of it."""

    __slots__ = ("ask", "result")

    def __init__(self, ask: EmbeddingAsk) -> None:
        self.ask = ask
        self.result: Embeddings | None = None
        """Set once a provider has answered."""

    def providers(self, embedders: Mapping[str, Embedder]) -> dict[str, "EmbeddingProvider"]:
        """The providers that the turn is to ask instead of those that chat."""
        return {name: EmbeddingProvider(embedder, self) for name, embedder in embedders.items()}


class EmbeddingProvider:
    """An embedder as one turn sees it (`actors.providers.base.Provider`)."""

    def __init__(self, embedder: Embedder, job: EmbeddingJob) -> None:
        self._embedder = embedder
        self._job = job

    @property
    def name(self) -> str:
        """The provider's name in the configuration."""
        return self._embedder.name

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """Nothing that could be told beforehand."""
        return ()

    async def open(self, call: ModelCall, *, connect_s: float) -> "EmbeddingAnswer":
        """See `actors.providers.base.Provider.open`."""
        model = call.upstream_model
        answer = await self._embedder.embed(self._job.ask, model, connect_s=connect_s)
        return EmbeddingAnswer(answer, self._job)


class EmbeddingAnswer:
    """An open embedding as a stream (`actors.providers.base.Answer`): it comes in one piece."""

    __slots__ = ("_answer", "_job", "_told", "close", "ignored", "release")

    def __init__(self, answer: OpenEmbedding, job: EmbeddingJob) -> None:
        self._answer = answer
        self._job = job
        self._told = False
        self.ignored: tuple[str, ...] = ()
        self.release = answer.release
        self.close = answer.close

    async def receive(self) -> list[Chunk]:
        """Content without a text, usage and finish at once; then `[]`."""
        if self._told:
            return []
        self._told = True
        result = self._job.result = await self._answer.read()
        usage = result.usage or _estimated(self._job.ask)
        return [TextChunk(""), UsageChunk(usage), FinishChunk(Reason.STOP)]


def _estimated(ask: EmbeddingAsk) -> Usage:
    tokens = sum(map(estimate_tokens, ask.texts))
    return Usage(input_tokens=tokens, output_tokens=0, estimated=True)
