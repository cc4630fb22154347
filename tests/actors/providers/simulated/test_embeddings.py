"""Tests of simulated embeddings: determinism, unit length, usage and faults."""

import base64
import math
import struct

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.providers.formats.embeddings import EmbeddingCall, Embeddings
from actors.providers.simulated import SimulatedProvider
from actors.providers.simulated import embeddings as simulated
from actors.providers.simulated.embeddings import (
    DIMENSIONS,
    MAX_DIMENSIONS,
    SimulatedEmbedder,
    unit_vector,
)
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import Usage


async def embed(
    model: str = "sim", *texts: str, as_base64: bool = False, **given: object
) -> Embeddings:
    ask = EmbeddingCall(
        input=list(texts), texts=texts or ("Hello there",), as_base64=as_base64, parameters=given
    )
    embedder = SimulatedEmbedder(SimulatedProvider("s"))
    answer = await embedder.embed(ask, model, connect_s=1.0)
    try:
        return await answer.read()
    finally:
        answer.close()


async def failure_of(model: str, **given: object) -> UpstreamFailure:
    with pytest.raises(UpstreamFailure) as caught:
        await embed(model, **given)  # type: ignore[arg-type]  # as_base64 is not among them
    return caught.value


def numbers(found: Embeddings) -> list[list[float]]:
    return [msgspec.json.decode(vector, type=list[float]) for vector in found.vectors]


async def test_the_same_text_has_the_same_vector(autojump_clock: MockClock) -> None:
    found = numbers(await embed("sim", "a", "b", "a"))
    assert found[0] == found[2] != found[1]
    assert found == numbers(await embed("sim", "a", "b", "a"))
    assert found[0] != numbers(await embed("other", "a"))[0]
    assert [len(vector) for vector in found] == [DIMENSIONS] * 3


@given(st.text(max_size=20), st.integers(1, 300))
def test_vectors_have_length_1(text: str, dimensions: int) -> None:
    vector = unit_vector("sim", text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-5)


async def test_dimensions_and_encoding_are_honoured(autojump_clock: MockClock) -> None:
    plain = numbers(await embed(dimensions=3))[0]
    packed = await embed(dimensions=3, as_base64=True)
    text = msgspec.json.decode(packed.vectors[0], type=str)
    assert list(struct.unpack("<3f", base64.b64decode(text))) == pytest.approx(plain)


async def test_usage_counts_the_inputs(autojump_clock: MockClock) -> None:
    found = await embed("sim", "one two three", "four")
    assert found.usage == Usage(input_tokens=4, output_tokens=0)
    assert (await embed("sim:nousage")).usage is None


@pytest.mark.parametrize("given", [0, -1, MAX_DIMENSIONS + 1, 1.5, "3", True])
async def test_invalid_dimensions_are_rejected(given: object) -> None:
    failure = await failure_of("sim", dimensions=given)
    assert (failure.status, failure.param) == (400, "dimensions")


@pytest.mark.parametrize(
    ("model", "kind", "status"),
    [
        ("sim:429=3", FailureKind.REJECTED, 429),
        ("sim:error=503", FailureKind.SERVER_ERROR, 503),
        ("sim:refuse", FailureKind.REFUSED, None),
        ("sim:cut=1", FailureKind.TRUNCATED, None),
        ("sim:what", FailureKind.REJECTED, 404),
    ],
)
async def test_faults(
    model: str, kind: FailureKind, status: int | None, autojump_clock: MockClock
) -> None:
    failure = await failure_of(model)
    assert (failure.kind, failure.status) == (kind, status)


async def test_times(autojump_clock: MockClock) -> None:
    started_at = trio.current_time()
    await embed("sim:head=2s,first=3s")
    assert trio.current_time() - started_at == pytest.approx(5)


async def test_large_responses_are_computed_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    at_once = await embed("sim", "a", "b")
    monkeypatch.setattr(simulated, "_MANY", 1)
    assert await embed("sim", "a", "b") == at_once
