"""Tests of the in-process simulated provider, on virtual time."""

import pytest
import trio
from trio.testing import MockClock

from actors.ports import Provider
from actors.providers.simulated import SimulatedProvider, load_scenario
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import Chunk, FinishChunk, SkippedChunk, TextChunk, UsageChunk
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure

QUESTION = "Tell me of the stage."


def ask(model: str, question: str = QUESTION, **parameters: object) -> ModelCall:
    messages: list[dict[str, object]] = [{"role": "user", "content": question}]
    return ModelCall(upstream_model=model, messages=read_messages(messages), parameters=parameters)


async def answer(provider: Provider, call: ModelCall) -> list[tuple[float, Chunk]]:
    """Return the chunks with the times at which they arrived."""
    found: list[tuple[float, Chunk]] = []
    opened = await provider.open(call, connect_s=5)
    while batch := await opened.receive():
        found += [(trio.current_time(), chunk) for chunk in batch]
    opened.release()
    return found


async def test_answer_follows_the_configured_delays(autojump_clock: MockClock) -> None:
    provider = SimulatedProvider("simulated")
    started_at = trio.current_time()
    found = await answer(provider, ask("sim:tokens=3,head=1s,first=300ms,delay=20ms"))
    times = [round(at - started_at, 3) for at, _ in found]
    assert times == [1.3, 1.32, 1.34, 1.34, 1.34]
    assert isinstance(found[-2][1], FinishChunk)
    assert isinstance(found[-1][1], UsageChunk)


async def test_slow_caller_gets_all_due_chunks_at_once(autojump_clock: MockClock) -> None:
    opened = await SimulatedProvider("s").open(ask("sim:tokens=30,delay=20ms"), connect_s=5)
    await trio.sleep(0.05 + 9 * 0.02 + 0.001)
    assert len(await opened.receive()) == 10
    assert len(await opened.receive()) == 1


async def test_flood_is_sent_in_batches(autojump_clock: MockClock) -> None:
    opened = await SimulatedProvider("s").open(ask("sim:tokens=200,first=0,delay=0"), connect_s=5)
    sizes = []
    while batch := await opened.receive():
        sizes.append(len(batch))
    assert sizes == [64, 64, 64, 10]
    assert trio.current_time() == 0


@pytest.mark.parametrize(
    ("model", "kind", "status"),
    [
        ("sim:error=400", FailureKind.REJECTED, 400),
        ("sim:error=503", FailureKind.SERVER_ERROR, 503),
        ("sim:oops", FailureKind.REJECTED, 404),
        ("sim:html", FailureKind.SERVER_ERROR, 200),
        ("sim:html=502", FailureKind.SERVER_ERROR, 502),
        ("sim:refuse", FailureKind.REFUSED, None),
        ("sim:garbage", FailureKind.SERVER_ERROR, None),
    ],
)
async def test_faults_before_the_head(
    model: str, kind: FailureKind, status: int | None, autojump_clock: MockClock
) -> None:
    with pytest.raises(UpstreamFailure) as failure:
        await SimulatedProvider("s").open(ask(model), connect_s=5)
    assert (failure.value.kind, failure.value.status) == (kind, status)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("cut", FailureKind.TRUNCATED),
        ("break", FailureKind.TRUNCATED),
        ("reset", FailureKind.TRUNCATED),
        ("end", FailureKind.TRUNCATED),
        ("noise", FailureKind.TRUNCATED),
        ("errorframe", FailureKind.IN_STREAM_ERROR),
        ("torn", FailureKind.MALFORMED),
    ],
)
@pytest.mark.parametrize("pace", ["delay=0", "delay=20ms"])
async def test_faults_come_after_the_tokens_before_them(
    fault: str, kind: FailureKind, pace: str, autojump_clock: MockClock
) -> None:
    opened = await SimulatedProvider("s").open(
        ask(f"sim:count,tokens=9,{pace},{fault}=3"), connect_s=5
    )
    got: list[Chunk] = []
    while len(got) < 3:
        got += await opened.receive()
    assert got == [TextChunk("1"), TextChunk(" 2"), TextChunk(" 3")]
    with pytest.raises(UpstreamFailure) as failure:
        await opened.receive()
    assert failure.value.kind is kind


async def test_stall_never_ends(autojump_clock: MockClock) -> None:
    opened = await SimulatedProvider("s").open(ask("sim:stall=2"), connect_s=5)
    got: list[Chunk] = []
    with trio.move_on_after(3600) as scope:
        while True:
            got += await opened.receive()
    assert scope.cancelled_caught
    assert sum(isinstance(chunk, TextChunk) for chunk in got) == 2


async def test_hanging_body_never_ends(autojump_clock: MockClock) -> None:
    opened = await SimulatedProvider("s").open(ask("sim:hang,tokens=4"), connect_s=5)
    chunks: list[Chunk] = []
    with trio.move_on_after(3600) as scope:
        while batch := await opened.receive():
            chunks += batch
    assert scope.cancelled_caught
    assert isinstance(chunks[-1], UsageChunk)


async def test_a_silent_model_never_opens(autojump_clock: MockClock) -> None:
    with trio.move_on_after(3600) as scope:
        await SimulatedProvider("s").open(ask("sim:silent"), connect_s=5)
    assert scope.cancelled_caught


async def test_a_malformed_frame_is_one_skipped_chunk(autojump_clock: MockClock) -> None:
    found = await answer(SimulatedProvider("s"), ask("sim:count,tokens=3,badjson=1"))
    assert isinstance(found[1][1], SkippedChunk)
    assert [c.text for _, c in found if isinstance(c, TextChunk)] == ["1", " 2", " 3"]


async def test_a_fault_passes_for_each_conversation(autojump_clock: MockClock) -> None:
    provider = SimulatedProvider("s")
    call = ask("sim:429=2")
    for other in (call, ask("sim:429=2", "Another question"), ask("sim:429=2", user="someone")):
        with pytest.raises(UpstreamFailure) as failure:
            await provider.open(other, connect_s=5)
        assert failure.value.retry_after_s == 2
    await provider.open(call, connect_s=5)


async def test_a_model_recovers_in_time(autojump_clock: MockClock) -> None:
    provider = SimulatedProvider("s")
    for _ in range(15):
        with pytest.raises(UpstreamFailure):
            await provider.open(ask("sim:error=503,for=60s"), connect_s=5)
        await trio.sleep(4)
    await provider.open(ask("sim:error=503,for=60s"), connect_s=5)


async def test_a_scenario_names_models(autojump_clock: MockClock) -> None:
    scenario = load_scenario("[models.primary]\ncount = true\ntokens = 2")
    found = await answer(SimulatedProvider("s", scenario), ask("primary"))
    assert [c.text for _, c in found if isinstance(c, TextChunk)] == ["1", " 2"]


async def test_closed_answer_cannot_be_read(autojump_clock: MockClock) -> None:
    opened = await SimulatedProvider("s").open(ask("sim"), connect_s=5)
    opened.close()
    with pytest.raises(trio.ClosedResourceError):
        await opened.receive()


async def test_a_cancelled_receive_loses_nothing(autojump_clock: MockClock) -> None:
    opened = await SimulatedProvider("s").open(ask("sim:count,tokens=20"), connect_s=5)
    got: list[Chunk] = []
    ended = False
    while not ended:
        with trio.move_on_after(0.007):
            batch = await opened.receive()
            ended = not batch
            got += batch
    text = "".join(chunk.text for chunk in got if isinstance(chunk, TextChunk))
    assert text == " ".join(str(number) for number in range(1, 21))


async def test_a_long_prompt_is_answered_too() -> None:
    opened = await SimulatedProvider("s").open(
        ask("sim:tokens=3,first=0,delay=0", "word " * 10_000), connect_s=5
    )
    *_, last = await opened.receive()
    assert isinstance(last, UsageChunk)
    assert last.usage.input_tokens == 10_001
