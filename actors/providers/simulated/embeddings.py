"""Simulated embeddings: unit vectors derived from a hash of the input."""

import hashlib
import math
import sys
from array import array
from collections.abc import Callable
from functools import partial

import msgspec
import trio
from msgspec import Raw

from actors.ports import AnswerStream
from actors.providers.embedding_provider import OpenEmbedding
from actors.providers.formats.embeddings import EmbeddingCall, Embeddings, to_base64, to_numbers
from actors.providers.simulated.provider import SimulatedProvider, failure_of
from actors.providers.simulated.rejections import Rejected
from actors.turn.chunks import UsageChunk
from actors.turn.model_call import JSON, ModelCall
from actors.turn.outcome import Usage

DIMENSIONS = 256
"""Default number of dimensions."""
MAX_DIMENSIONS = 4096
_MANY = 65_536
"""Total numbers in a response from which the vectors are computed in a thread."""


def dimensions_of(parameters: dict[str, JSON]) -> int:
    """Return the requested number of dimensions; raises `Rejected`."""
    wanted = parameters.get("dimensions")
    if wanted is None:
        return DIMENSIONS
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 0 < wanted <= MAX_DIMENSIONS:
        raise Rejected("dimensions", f"dimensions must be an integer from 1 to {MAX_DIMENSIONS}.")
    return wanted


def unit_vector(model: str, text: str, dimensions: int) -> "array[float]":
    """Return a vector of length 1, determined by the model, the text and `dimensions`."""
    seed = msgspec.json.encode([model, text, dimensions])
    numbers = array("i", hashlib.shake_256(seed).digest(4 * dimensions))
    if sys.byteorder == "big":  # the same vector on every machine
        numbers.byteswap()
    norm = math.hypot(*numbers)
    return array("f", [number / norm for number in numbers])


def vectors(
    model: str, texts: tuple[str, ...], dimensions: int, *, as_base64: bool
) -> tuple[Raw, ...]:
    """Return a unit vector for each text, encoded as JSON."""
    encode = to_base64 if as_base64 else to_numbers
    return tuple(encode(unit_vector(model, text, dimensions)) for text in texts)


def one_token(request: EmbeddingCall, model: str) -> ModelCall:
    """Return a call with a one-token answer, whose timing and faults the embedding gets."""
    user = request.parameters.get("user")
    parameters: dict[str, JSON] = {"max_tokens": 1, "user": user}
    return msgspec.structs.replace(request.as_call(), upstream_model=model, parameters=parameters)


class SimulatedEmbedder:
    """Embedder of a simulated provider (`actors.providers.embedding_provider.Embedder`).

    Its timing and faults are those of a one-token answer.
    """

    def __init__(self, provider: SimulatedProvider) -> None:
        self._provider = provider

    @property
    def name(self) -> str:
        """Provider name in the configuration."""
        return self._provider.name

    async def embed(
        self, request: EmbeddingCall, upstream_model: str, *, connect_s: float
    ) -> OpenEmbedding:
        """Implement `actors.providers.embedding_provider.Embedder.embed`."""
        try:
            dimensions = dimensions_of(request.parameters)
        except Rejected as rejected:
            raise failure_of(rejected.error) from None
        answer = await self._provider.open(one_token(request, upstream_model), connect_s=connect_s)
        texts, as_base64 = request.texts, request.as_base64
        compute = partial(vectors, upstream_model, texts, dimensions, as_base64=as_base64)
        read = partial(_read, answer, compute, large=len(texts) * dimensions >= _MANY)
        return OpenEmbedding(read, answer.release, answer.close)


async def _read(
    answer: AnswerStream, compute: Callable[[], tuple[Raw, ...]], *, large: bool
) -> Embeddings:
    usage = await _usage(answer)
    return Embeddings(await trio.to_thread.run_sync(compute) if large else compute(), usage)


async def _usage(answer: AnswerStream) -> Usage | None:
    """Wait for the end of the answer and return its usage, without output tokens."""
    usage: Usage | None = None
    while chunks := await answer.receive():
        for chunk in chunks:
            if isinstance(chunk, UsageChunk):
                usage = msgspec.structs.replace(chunk.usage, output_tokens=0)
    return usage
