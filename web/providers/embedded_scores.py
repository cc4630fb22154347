"""Semantic scores of guards by the embeddings of a provider, instead of the built-in ones."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
import structlog
import trio
from msgspec import Raw

from actors.guards.spec import Scores
from actors.guards.wording.semantics import Centroids, Vector, embedding, exemplar_texts, passages
from actors.providers.embedding_provider import Embedder
from actors.providers.formats.embeddings import EmbeddingCall
from actors.turn.model_call import Route, UpstreamFailure

TIMEOUT_S = 5.0
"""Longest time for the embeddings of a text; then the built-in scores are used."""
_AT_ONCE = 256
"""Maximum number of texts in one request."""

T = TypeVar("T")

_values = msgspec.json.Decoder(list[float]).decode
_log = structlog.get_logger("trouper.guards")


class EmbeddedScores:
    """A rating of texts by an embeddings route. The exemplars are embedded once, when needed."""

    def __init__(self, embedder: Embedder, route: Route) -> None:
        self._embedder = embedder
        self._route = route
        self._centroids: Centroids | None = None
        self._preparing = trio.Lock()

    async def scores(self, text: str) -> Scores | None:
        """Return the scores of a text; None if the provider fails or is too slow."""
        try:
            with trio.fail_after(TIMEOUT_S):
                centroids = await self._prepared()
                vectors = await self._embed(passages(text)[:_AT_ONCE])
                return await _in_thread(lambda: centroids.scores_from(_read(vectors)))
        except (UpstreamFailure, trio.TooSlowError, msgspec.DecodeError) as error:
            kind = type(error).__name__
            _log.warning("embeddings for guards failed", route=str(self._route), error=kind)
            return None

    async def _prepared(self) -> Centroids:
        async with self._preparing:
            if self._centroids is None:
                texts = exemplar_texts()
                vectors: list[Raw] = []
                for begin in range(0, len(texts), _AT_ONCE):
                    vectors += await self._embed(texts[begin : begin + _AT_ONCE])
                self._centroids = await _in_thread(lambda: Centroids(_read(vectors), merged=True))
        return self._centroids

    async def _embed(self, texts: Sequence[str]) -> list[Raw]:
        if not texts:
            return []
        call = EmbeddingCall(input=list(texts), texts=tuple(texts), as_base64=False, parameters={})
        answer = await self._embedder.embed(call, self._route.upstream_model, connect_s=TIMEOUT_S)
        try:
            read = await answer.read()
        except BaseException:
            answer.close()
            raise
        answer.release()
        return list(read.vectors)


def _read(vectors: Sequence[Raw]) -> list[Vector]:
    return [embedding(_values(vector)) for vector in vectors]


async def _in_thread(work: Callable[[], T]) -> T:
    # Vectors have thousands of values, so a text takes up to a second.
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)
