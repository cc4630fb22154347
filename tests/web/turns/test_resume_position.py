"""Ended turns read again: rendered once, in batches, and only as fast as the reader takes them."""

import re

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.journal import journal
from actors.journal.journal import AT_ONCE, Journal
from actors.runtime import offload
from actors.runtime.offload import Cost
from actors.turn import events
from actors.turn.events import AnyEvent, Recovered, Replace, Retry, Text
from actors.turn.outcome import Reason
from actors.writer import Writer
from tests.support.dialect_journals import DIALECTS
from tests.support.edge_harness import EdgeHarness, open_harness
from tests.support.sample_events import STARTED, answer_events, ended
from tests.support.sizes import examples
from tests.support.turn_fakes import ScriptedProvider, stop, text
from web.dialects.base import DialectStream, Render
from web.dialects.frames import DONE, START, BadCursor, Cursor
from web.dialects.openai_chat.stream import OpenAIChat
from web.turns.resume_position import PositionSearch, ResumePosition

LINES = [text(*["word "] * AT_ONCE)] * 20


def rendering(name: str) -> DialectStream:
    return DIALECTS[name].stream({}, START)


def render_all(name: str, answer: list[AnyEvent]) -> bytes:
    """Return all frames, rendered from a single batch."""
    shown = rendering(name)
    frames = shown.render(answer)
    while shown.pending:
        frames += shown.render([])
    return frames


async def find_position(over: Journal, render: Render, after: Cursor) -> ResumePosition:
    return await PositionSearch(over, render, after, trio.CapacityLimiter(1)).find()


async def read(place: ResumePosition) -> bytes:
    """Return everything from that position on, without the leading heartbeat."""
    reader = Writer(place.reading, place.stream, frames=place.frames)
    parts = b"".join([part async for part in reader])
    return parts.removeprefix(place.stream.heartbeat)


async def read_after(name: str, answer: list[AnyEvent], after: Cursor) -> bytes | None:
    """Return what follows that frame; None if nothing does or if the frame doesn't exist."""
    over = Journal(answer, closed=True)
    try:
        place = await find_position(over, lambda cursor: DIALECTS[name].stream({}, cursor), after)
    except BadCursor:
        return None
    return None if place.is_last else await read(place)


def rest_after_each(whole: bytes) -> list[tuple[Cursor, bytes]]:
    """Return the cursor of each frame with the bytes after it."""
    found: list[tuple[Cursor, bytes]] = []
    for frame in re.finditer(rb"id: [a-z-]+:(\d+)(?:@(\d+))?\n(?:.+\n)+\n", whole):
        cursor = Cursor(int(frame[2] or 0), int(frame[1]))
        found.append((cursor, whole[frame.end() :]))
    return found


LONG = (0, 1000, 100_000)
DISCARDING = (Retry, Replace)
answers = st.lists(answer_events | st.just(Text("a")), max_size=12).filter(
    lambda answer: not any(isinstance(event, DISCARDING) for event in answer)
)


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=examples(30), deadline=None)
@given(
    answer=answers, recovered=st.booleans(), at_once=st.integers(1, 5), long=st.sampled_from(LONG)
)
def test_replay_in_batches_equals_a_single_render(
    name: str, answer: list[AnyEvent], recovered: bool, at_once: int, long: int
) -> None:
    """The number of batches doesn't matter."""
    over = [STARTED, *answer, *([Recovered(1)] if recovered else []), ended(Reason.STOP)]
    whole = render_all(name, over)

    async def check() -> None:
        assert await read_after(name, over, START) == whole
        for cursor, rest in rest_after_each(whole):
            assert await read_after(name, over, cursor) == (None if rest in (b"", DONE) else rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "AT_ONCE", at_once)
        patch.setattr(offload, "BUDGET", long * Cost.TEXT)
        trio.run(check)


class RenderRecorder:
    """Recorder of the sizes of rendered batches."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[int] = []
        render = OpenAIChat.render

        def recording(dialect: OpenAIChat, batch: list[AnyEvent]) -> bytes:
            self.batches.append(len(batch))
            return render(dialect, batch)

        monkeypatch.setattr(OpenAIChat, "render", recording)


async def replay(harness: EdgeHarness, query: str = "") -> list[bytes]:
    """Return the chunks of a replayed stream as they arrive."""
    async with harness.client.stream("GET", f"/v1/turns/turn_1/events{query}") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [part async for part in answer.aiter_raw()]


@pytest.mark.parametrize("query", ["", "?starting_after=0", "?starting_after=1500"])
async def test_replay_is_rendered_once_and_in_batches(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    async with open_harness(ScriptedProvider(*LINES, stop())) as harness:
        whole = await harness.stream_chat()
        recorder = RenderRecorder(monkeypatch)
        parts = await replay(harness, query)
        assert max(recorder.batches) == AT_ONCE
        assert sum(recorder.batches) == len(LINES) * AT_ONCE + 2
        assert b"".join(parts).endswith(whole[-1000:])
        assert max(map(len, parts)) < 2 * len(whole) / len(LINES)


async def test_replay_is_rendered_only_as_it_is_read(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_harness(ScriptedProvider(*LINES, stop())) as harness:
        await harness.stream_chat()
        recorder = RenderRecorder(monkeypatch)
        async with harness.client.stream("GET", "/v1/turns/turn_1/events") as answer:
            coming = answer.aiter_raw()
            await anext(coming)
            await trio.sleep(5)
            assert len(recorder.batches) <= 3
            rest = [part async for part in coming]
        assert len(rest) > 15


async def read_slowly(harness: EdgeHarness) -> None:
    async with harness.client.stream("GET", "/v1/turns/turn_1/events") as answer:
        async for _ in answer.aiter_raw():
            await trio.sleep(1)


@pytest.mark.parametrize("away", [(), ("finalise",)])
async def test_slow_reader_of_a_replay_is_dropped(
    autojump_clock: MockClock, away: tuple[str, ...]
) -> None:
    limits: dict[str, object] = {"reader_lag_bytes": 1000, "reader_bytes_per_s": 100_000}
    async with open_harness(ScriptedProvider(*LINES, stop()), limits=limits) as harness:
        await harness.stream_chat()
        with capture_logs() as logs:
            await read_slowly(harness)
        assert [line["event"] for line in logs].count("slow reader dropped") == 1


async def test_settled_answer_is_rendered_only_after_a_retry(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = RenderRecorder(monkeypatch)

    def render(after: Cursor) -> DialectStream:
        return OpenAIChat({}, after)

    plain: list[AnyEvent] = [STARTED, Text("a"), ended()]
    await find_position(Journal(plain, closed=True), render, START)
    assert recorder.batches == []
    retried: list[AnyEvent] = [STARTED, Text("a"), events.Retry("cut"), Text("b"), ended()]
    place = await find_position(Journal(retried, closed=True), render, START)
    assert recorder.batches == [5]
    assert b'"a"' not in await read(place)
