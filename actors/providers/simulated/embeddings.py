"""Embeddings without a model: unit vectors that are the same for the same input every time."""

import hashlib
import math
import sys
from array import array

import msgspec
import trio
from msgspec import Raw

from actors.chunks import UsageChunk
from actors.outcome import Usage
from actors.providers.base import JSON, Answer, FailureKind, ModelCall, UpstreamFailure
from actors.providers.embeddings import EmbeddingAsk, Embeddings, to_base64, to_numbers
from actors.providers.simulated.provider import SimulatedProvider

DIMENSIONS = 256
"""Numbers in a vector, where the client does not say."""
MAX_DIMENSIONS = 4096
_MANY = 65_536
"""Numbers from which on they are made in a thread."""


class BadDimensions(ValueError):
    """`dimensions` that no vector has."""


def dimensions_of(parameters: dict[str, JSON]) -> int:
    """How long vectors are to be; raises `BadDimensions`."""
    wanted = parameters.get("dimensions")
    if wanted is None:
        return DIMENSIONS
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 0 < wanted <= MAX_DIMENSIONS:
        raise BadDimensions(f"dimensions has to be a whole number from 1 to {MAX_DIMENSIONS}.")
    return wanted


def unit_vector(model: str, text: str, dimensions: int) -> "array[float]":
    """A vector of length 1: another one for another model, text or number of dimensions."""
    seed = msgspec.json.encode([model, text, dimensions])
    numbers = array("i", hashlib.shake_256(seed).digest(4 * dimensions))
    if sys.byteorder == "big":
        numbers.byteswap()
    norm = math.hypot(*numbers)
    return array("f", [number / norm for number in numbers])


def vectors(
    model: str, texts: tuple[str, ...], dimensions: int, *, as_base64: bool
) -> tuple[Raw, ...]:
    """A unit vector for each text, as JSON."""
    spell = to_base64 if as_base64 else to_numbers
    return tuple(spell(unit_vector(model, text, dimensions)) for text in texts)


def one_token(ask: EmbeddingAsk, model: str) -> ModelCall:
    """The call whose script an embedding plays: an answer of one token, faults and all."""
    user = ask.parameters.get("user")
    parameters: dict[str, JSON] = {"max_tokens": 1, "user": user}
    return msgspec.structs.replace(ask.as_call(), upstream_model=model, parameters=parameters)


class SimulatedEmbedder:
    """A simulated provider's embeddings (`actors.embedding.Embedder`).

    Their times and faults are those of an answer of one token.
    """

    def __init__(self, provider: SimulatedProvider) -> None:
        self._provider = provider

    @property
    def name(self) -> str:
        """The provider's name in the configuration."""
        return self._provider.name

    async def embed(
        self, ask: EmbeddingAsk, upstream_model: str, *, connect_s: float
    ) -> "SimulatedEmbedding":
        """See `actors.embedding.Embedder.embed`."""
        try:
            dimensions = dimensions_of(ask.parameters)
        except BadDimensions as error:
            raise UpstreamFailure(
                FailureKind.REJECTED, str(error), status=400, param="dimensions"
            ) from None
        call = one_token(ask, upstream_model)
        answer = await self._provider.open(call, connect_s=connect_s)
        return SimulatedEmbedding(answer, ask, upstream_model, dimensions)


class SimulatedEmbedding:
    """An answer on its way (`actors.embedding.OpenEmbedding`)."""

    def __init__(
        self, answer: Answer, ask: EmbeddingAsk, upstream_model: str, dimensions: int
    ) -> None:
        self._answer = answer
        self._ask = ask
        self._model = upstream_model
        self._dimensions = dimensions
        self.release = answer.release
        self.close = answer.close

    async def read(self) -> Embeddings:
        """See `actors.embedding.OpenEmbedding.read`."""
        usage = await self._usage()
        return Embeddings(await self._vectors(), usage)

    async def _usage(self) -> Usage | None:
        """Wait for the end of the answer, and take what it says of its tokens."""
        usage: Usage | None = None
        while chunks := await self._answer.receive():
            for chunk in chunks:
                if isinstance(chunk, UsageChunk):
                    usage = msgspec.structs.replace(chunk.usage, output_tokens=0)
        return usage

    async def _vectors(self) -> tuple[Raw, ...]:
        def made() -> tuple[Raw, ...]:
            return vectors(
                self._model, self._ask.texts, self._dimensions, as_base64=self._ask.as_base64
            )

        if len(self._ask.texts) * self._dimensions < _MANY:
            return made()
        return await trio.to_thread.run_sync(made)
