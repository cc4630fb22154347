"""Turns that are over, read again: part by part, rendered once, and only as they are taken."""

import re

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors import events, journal
from actors.events import AnyEvent, Recovered, Replace, Retry, Text
from actors.journal import AT_ONCE, Journal
from actors.outcome import Reason
from actors.writer import Writer
from tests.actors.fakes import ScriptedProvider, stop, text
from tests.actors.samples import STARTED, answer_events, ended
from tests.web.house import House, open_house
from web.dialects import responses
from web.dialects.frames import START, BadCursor, Cursor
from web.dialects.kinds import KINDS
from web.dialects.openai_chat import OpenAIChat
from web.dialects.rendering import Render, Rendering
from web.reading_on import Place, Search

LINES = [text(*["word "] * AT_ONCE)] * 20


def rendering(name: str) -> Rendering:
    return KINDS[name].stream({}, START)


def whole_of(name: str, said: list[AnyEvent]) -> bytes:
    """All frames, rendered in one go."""
    shown = rendering(name)
    frames = shown.render(said)
    while shown.pending:
        frames += shown.render([])
    return frames


async def search(over: Journal, render: Render, after: Cursor) -> Place:
    return await Search(over, render, after, trio.CapacityLimiter(1)).place()


async def read(place: Place) -> bytes:
    """All that comes from there, without the heartbeat before it."""
    reader = Writer(place.reading, place.rendering, frames=place.frames)
    parts = b"".join([part async for part in reader])
    return parts.removeprefix(place.rendering.heartbeat)


async def read_after(name: str, said: list[AnyEvent], after: Cursor) -> bytes | None:
    """What a reader gets who has that frame; None where there is nothing more, or no such frame."""
    over = Journal(said, closed=True)
    try:
        place = await search(over, lambda cursor: KINDS[name].stream({}, cursor), after)
    except BadCursor:
        return None
    return None if place.is_last else await read(place)


def rest_after_each(whole: bytes) -> list[tuple[Cursor, bytes]]:
    """Each frame, and what comes after it."""
    found: list[tuple[Cursor, bytes]] = []
    for frame in re.finditer(rb"id: [a-z-]+:(\d+)(?:@(\d+))?\n(?:.+\n)+\n", whole):
        cursor = Cursor(int(frame[2] or 0), int(frame[1]))
        found.append((cursor, whole[frame.end() :]))
    return found


LONG = (0, 1000, 100_000)
TAKES = (Retry, Replace)
answers = st.lists(answer_events | st.just(Text("a")), max_size=12).filter(
    lambda said: not any(isinstance(event, TAKES) for event in said)
)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=30, deadline=None)
@given(said=answers, recovered=st.booleans(), at_once=st.integers(1, 5), long=st.sampled_from(LONG))
def test_what_is_read_is_what_is_rendered_in_one_go(
    name: str, said: list[AnyEvent], recovered: bool, at_once: int, long: int
) -> None:
    """However many parts it is rendered in."""
    over = [STARTED, *said, *([Recovered(1)] if recovered else []), ended(Reason.STOP)]
    whole = whole_of(name, over)

    async def check() -> None:
        assert await read_after(name, over, START) == whole
        for cursor, rest in rest_after_each(whole):
            assert await read_after(name, over, cursor) == (rest or None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "AT_ONCE", at_once)
        patch.setattr(responses, "_LONG", long)
        trio.run(check)


class Noted:
    """Notes what is rendered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[int] = []
        render = OpenAIChat.render

        def noting(dialect: OpenAIChat, batch: list[AnyEvent]) -> bytes:
            self.batches.append(len(batch))
            return render(dialect, batch)

        monkeypatch.setattr(OpenAIChat, "render", noting)


async def replayed(house: House, query: str = "") -> list[bytes]:
    """The parts of a body, as they come."""
    async with house.client.stream("GET", f"/v1/turns/turn_1/events{query}") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [part async for part in answer.aiter_raw()]


@pytest.mark.parametrize("query", ["", "?starting_after=0", "?starting_after=1500"])
async def test_it_is_rendered_once_and_part_by_part(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    async with open_house(ScriptedProvider(*LINES, stop())) as house:
        whole = await house.stream_to_the_end()
        noted = Noted(monkeypatch)
        parts = await replayed(house, query)
        assert max(noted.batches) == AT_ONCE
        assert sum(noted.batches) == len(LINES) * AT_ONCE + 2
        assert b"".join(parts).endswith(whole[-1000:])
        assert max(map(len, parts)) < 2 * len(whole) / len(LINES)


async def test_it_is_rendered_as_it_is_taken(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(ScriptedProvider(*LINES, stop())) as house:
        await house.stream_to_the_end()
        noted = Noted(monkeypatch)
        async with house.client.stream("GET", "/v1/turns/turn_1/events") as answer:
            coming = answer.aiter_raw()
            await anext(coming)
            await trio.sleep(5)
            assert len(noted.batches) <= 3
            rest = [part async for part in coming]
        assert len(rest) > 15


async def taken_slowly(house: House) -> None:
    async with house.client.stream("GET", "/v1/turns/turn_1/events") as answer:
        async for _ in answer.aiter_raw():
            await trio.sleep(1)


@pytest.mark.parametrize("away", [(), ("finalise",)])
async def test_who_takes_it_too_slowly_loses_it(
    autojump_clock: MockClock, away: tuple[str, ...]
) -> None:
    limits: dict[str, object] = {"reader_lag_bytes": 1000, "reader_bytes_per_s": 100_000}
    async with open_house(ScriptedProvider(*LINES, stop()), limits=limits) as house:
        await house.stream_to_the_end()
        with capture_logs() as logs:
            await taken_slowly(house)
        assert [line["event"] for line in logs].count("reader_too_slow") == 1


async def test_whether_it_was_taken_back_is_looked_for_only_where_it_may_be(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = Noted(monkeypatch)

    def render(after: Cursor) -> Rendering:
        return OpenAIChat({}, after)

    plain: list[AnyEvent] = [STARTED, Text("a"), ended()]
    await search(Journal(plain, closed=True), render, START)
    assert noted.batches == []
    anew: list[AnyEvent] = [STARTED, Text("a"), events.Retry("cut"), Text("b"), ended()]
    place = await search(Journal(anew, closed=True), render, START)
    assert noted.batches == [5]
    assert b'"a"' not in await read(place)
