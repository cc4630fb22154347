"""Semantic scores by embeddings of a provider."""

import msgspec
import pytest
import trio
from msgspec import Raw
from trio.testing import MockClock

from actors.guards.spec import Meaning
from actors.guards.wording.semantics import exemplar_texts
from actors.providers.embedding_provider import OpenEmbedding
from actors.providers.formats.embeddings import EmbeddingCall, Embeddings
from actors.providers.simulated.embeddings import unit_vector
from actors.turn.model_call import FailureKind, Route, UpstreamFailure
from web.providers.embedded_scores import TIMEOUT_S, EmbeddedScores

ROUTE = Route("up", "model")


class Embedder:
    """A provider whose vectors are equal only for equal texts."""

    name = "up"

    def __init__(self, *, takes_s: float = 0.0, failure: UpstreamFailure | None = None) -> None:
        self.texts: list[str] = []
        self.released = self.closed = 0
        self._takes_s = takes_s
        self._failure = failure

    async def embed(
        self, request: EmbeddingCall, upstream_model: str, *, connect_s: float
    ) -> OpenEmbedding:
        self.texts += request.texts

        async def read() -> Embeddings:
            await trio.sleep(self._takes_s)
            if self._failure is not None:
                raise self._failure
            vectors = (list(unit_vector("", text, 1024)) for text in request.texts)
            return Embeddings(tuple(Raw(msgspec.json.encode(one)) for one in vectors), None)

        return OpenEmbedding(read, self._release, self._close)

    def _release(self) -> None:
        self.released += 1

    def _close(self) -> None:
        self.closed += 1


async def test_exemplars_are_embedded_once_and_recognised() -> None:
    embedder = Embedder()
    rated = EmbeddedScores(embedder, ROUTE)
    first = await rated.scores(exemplar_texts()[0])
    second = await rated.scores("The weather is fine.")
    assert first is not None
    assert second is not None
    assert max(first, key=lambda meaning: first[meaning]) is Meaning.NARRATED_DELEGATION
    assert max(second.values()) < max(first.values())
    assert len(embedder.texts) == len(exemplar_texts()) + 2
    assert embedder.closed == 0


async def test_provider_that_fails_or_is_silent_gives_no_scores(autojump_clock: MockClock) -> None:
    failing = Embedder(failure=UpstreamFailure(FailureKind.REFUSED, "no"))
    assert await EmbeddedScores(failing, ROUTE).scores("Hi.") is None
    silent, began = Embedder(takes_s=100), trio.current_time()
    assert await EmbeddedScores(silent, ROUTE).scores("Hi.") is None
    assert trio.current_time() - began == pytest.approx(TIMEOUT_S)
    assert [(one.released, one.closed) for one in (failing, silent)] == [(0, 1), (0, 1)]
