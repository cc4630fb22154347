"""Streams that are asked for again: after frames that nobody sent, and of answers begun anew."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from actors import events
from actors.checkpointer import encode_events
from actors.chunks import Chunk, ToolCallChunk
from actors.events import AnyEvent, Text
from actors.outcome import Reason
from actors.ports import Segment
from actors.providers.base import FailureKind, UpstreamFailure
from tests.actors.fakes import FOREVER, Scene, ScriptedProvider, stop, text
from tests.actors.samples import STARTED, ended
from tests.web.dialects import messages_reading, reading
from tests.web.house import House, in_a_moment, open_house, view
from web.dialects.frames import START
from web.dialects.kinds import KINDS

DIALECTS = list(KINDS)
CUT = UpstreamFailure(FailureKind.TRUNCATED, "The answer broke off.")
Frame = reading.Frame | messages_reading.Frame

_READ: dict[str, Callable[[bytes], list[Any]]] = {
    "openai-chat": reading.frames_of,
    "anthropic-messages": messages_reading.frames_of,
    "openai-responses": messages_reading.frames_of,
}
_ASKED: dict[str, tuple[str, dict[str, object]]] = {
    "openai-chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
    "anthropic-messages": (
        "/v1/messages",
        {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 99},
    ),
    "openai-responses": ("/v1/responses", {"input": "Hi"}),
}


class Reader:
    """A client of turns of one dialect."""

    def __init__(self, house: House, dialect: str) -> None:
        self.house = house
        self.dialect = dialect

    async def ask(self, **changes: object) -> httpx.Response:
        """A turn, read to its end."""
        path, body = _ASKED[self.dialect]
        return await self.house.post(path, json={"model": "large"} | body | changes)

    async def events(self, after: str | int | None = None, turn: int = 1) -> httpx.Response:
        query = {} if after is None else {"starting_after": after}
        return await self.house.get(f"/v1/turns/turn_{turn}/events", params=query)

    async def frames(self, after: str | int | None = None) -> list[Frame]:
        """The frames after that one; none where the answer is a 204."""
        answer = await self.events(after)
        assert answer.status_code in (200, 204), answer.text
        return self.read(answer.content) if answer.content else []

    def read(self, stream: bytes) -> list[Frame]:
        found: list[Frame] = _READ[self.dialect](stream)
        return found

    async def assert_resumes_after_each(self, whole: list[Frame]) -> None:
        """By id and by number; after the last there is nothing."""
        for k, frame in enumerate(whole, 1):
            assert await self.frames(frame.id) == whole[k:]
            assert await self.frames(frame.id.partition(":")[2]) == whole[k:]

    async def assert_refused(self, after: str | int, last: str, turn: int = 1) -> None:
        answer = await self.events(after, turn)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("invalid_cursor", "starting_after")
        assert error["message"].endswith(last)


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def number_of(frame: Frame) -> int:
    return int(frame.id.partition(":")[2])


async def test_past_the_last_frame_of_what_ended(autojump_clock: MockClock, dialect: str) -> None:
    async with open_house(ScriptedProvider(text("a"), text("b"), stop())) as house:
        reader = Reader(house, dialect)
        whole = reader.read((await reader.ask(stream=True)).content)
        await reader.assert_resumes_after_each(whole)
        last = f"the last one is '{whole[-1].id}'."
        for after in (
            len(whole),
            f"{dialect}:{len(whole)}",
            9_999_999_999,
            "0@1",
            f"{dialect}:3@7",
        ):
            await reader.assert_refused(after, last)


async def test_what_comes_at_the_end_in_many_parts_comes_again(
    autojump_clock: MockClock, dialect: str
) -> None:
    """Calls that wait for the first one, which is never whole."""
    calls: list[Chunk] = [
        ToolCallChunk(index, f"c{index}", "f", "{}"[: index + 1]) for index in range(600)
    ]
    async with open_house(ScriptedProvider(calls, stop(Reason.TOOL_CALLS))) as house:
        reader = Reader(house, dialect)
        whole = reader.read((await reader.ask(stream=True)).content)
        assert sum('"c599"' in frame.data for frame in whole) >= 1
        assert await reader.frames() == whole
        assert await reader.frames(whole[-2].id) == whole[-1:]
        assert not await reader.frames(whole[-1].id)


async def test_past_the_last_frame_of_what_plays(autojump_clock: MockClock, dialect: str) -> None:
    """At once, and without a word to those who read on."""
    async with open_house(ScriptedProvider(text("a"), 2.0, text("b"), stop())) as house:
        reader = Reader(house, dialect)
        got: list[httpx.Response] = []

        async def start() -> None:
            got.append(await reader.ask(stream=True))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(start)
            await trio.sleep(1)
            so_far = KINDS[dialect].stream({}, START)
            turn = next(iter(house.registry))
            seen = reader.read(so_far.render(list(turn.journal.events)))
            for after in (len(seen), 9_999_999_999, f"{dialect}:{len(seen)}", "0@1"):
                await reader.assert_refused(after, f"the last one is '{seen[-1].id}'.")
            assert trio.current_time() == 1
            assert turn.leases == 1
            rest = await reader.frames(seen[-1].id)
        whole = reader.read(got[0].content)
        assert rest == whole[len(seen) :]
        assert len(rest) > 1


async def test_before_the_first_frame_there_is_nothing_to_go_on_from(
    autojump_clock: MockClock, dialect: str
) -> None:
    async with open_house(ScriptedProvider(text("a"), stop(), head=2.0)) as house:
        reader = Reader(house, dialect)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.ask)
            await trio.sleep(1)
            await reader.assert_refused(0, f"no frame '{dialect}:0'; there is none yet.")
            assert len(await reader.frames()) > 1


async def test_a_long_journal_is_searched_in_parts(
    autojump_clock: MockClock, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it grows meanwhile."""
    monkeypatch.setattr("actors.journal.AT_ONCE", 3)
    main = ScriptedProvider(text(*"abcdefgh"), 2.0, text(*"ijkl"), stop())
    async with open_house(main) as house:
        reader = Reader(house, dialect)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.ask)
            await trio.sleep(1)
            live = [await reader.events(after) for after in (0, 3, 7)]
        whole = await reader.frames()
        assert [reader.read(answer.content) for answer in live] == [
            whole[1:],
            whole[4:],
            whole[8:],
        ]


async def test_over_http_a_response_is_no_other(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(text("a"), stop())) as house:
        await Reader(house, "openai-responses").ask()
        path = "/v1/responses/resp_1?stream=true&starting_after="
        assert (await house.get(path + "8")).status_code == 204
        beyond = await house.get(path + "9")
        assert beyond.status_code == 400
        assert beyond.json()["error"]["message"].endswith("is 'openai-responses:8'.")


def broken_off(house: House, *kept: AnyEvent) -> None:
    """A turn of another process, which died when it had shown more than is kept."""
    journal = [STARTED, *kept, events.Recovered(1), ended(Reason.OWNER_LOST)]
    over = view(house.store.finals[0])
    house.store.views["turn_7"] = replace(over, id="turn_7", last_event=len(journal) - 1)
    blob = encode_events(journal)
    house.store.kept["turn_7"] = {0: Segment("turn_7", "owner_1", 0, len(journal) - 1, blob)}


@pytest.mark.parametrize("kept", [(), (Text("a"), Text("b"))])
async def test_frames_that_were_lost_may_have_been_sent(
    autojump_clock: MockClock, dialect: str, kept: tuple[AnyEvent, ...]
) -> None:
    """Those of the epoch that broke off; there are none past the last of the new one."""
    async with open_house(ScriptedProvider(stop())) as house:
        reader = Reader(house, dialect)
        await reader.ask()
        broken_off(house, *kept)
        whole = reader.read((await reader.events(turn=7)).content)
        new = [frame for frame in whole if frame.id.endswith("@1")]
        assert whole[-len(new) :] == new != []
        for after in (len(whole), 999_999, f"{dialect}:{len(whole)}"):
            assert reader.read((await reader.events(after, turn=7)).content) == new
        assert (await reader.events(new[-1].id, turn=7)).status_code == 204
        number = int(new[-1].id.partition(":")[2].partition("@")[0])
        for after in (f"{number + 1}@1", f"{dialect}:0@2"):
            await reader.assert_refused(after, f"the last one is '{new[-1].id}'.", turn=7)


def broken() -> tuple[ScriptedProvider, ScriptedProvider]:
    """An answer that breaks off, and one from another route."""
    first = ScriptedProvider(text("Not "), text("this"), 1.0, CUT)
    return first, ScriptedProvider(text("But "), 1.0, text("that"), stop(), name="spare")


def said(frames: list[Frame]) -> str:
    """All text that is in the deltas."""
    return "".join(_delta(json.loads(frame.data)) for frame in frames if frame.data != "[DONE]")


def _delta(data: dict[str, Any]) -> str:
    match data:
        case {"choices": [{"delta": {"content": str(piece)}}]}:
            return piece
        case {"type": "response.output_text.delta", "delta": str(piece)}:
            return piece
        case {"delta": {"type": "text_delta", "text": str(piece)}}:
            return piece
        case _:
            return ""


def last_words(frames: list[Frame]) -> str:
    return frames[-1].data


WHOLE_ENDS = {
    "openai-chat": "[DONE]",
    "anthropic-messages": '{"type":"message_stop"}',
    "openai-responses": '{"type":"response.completed"',
}


async def test_what_was_begun_anew_is_read_as_it_ended(
    autojump_clock: MockClock, dialect: str
) -> None:
    """Whoever reads it from its beginning when it is over sees nothing of what was taken back."""
    async with open_house(*broken()) as house:
        reader = Reader(house, dialect)
        assert (await reader.ask()).status_code == 200
        turn = (await house.get("/v1/turns/turn_1")).json()
        assert (turn["status"], turn["text"]) == ("completed", "But that")
        whole = await reader.frames()
        assert said(whole) == "But that"
        assert last_words(whole).startswith(WHOLE_ENDS[dialect])
        assert "Not" not in (await reader.events()).text
        first = number_of(whole[0])
        assert [number_of(frame) for frame in whole] == list(range(first, first + len(whole)))
        await reader.assert_resumes_after_each(whole)
        await reader.assert_refused(first + len(whole), f"the last one is '{whole[-1].id}'.")


async def test_who_saw_what_was_taken_back_is_told_so(
    autojump_clock: MockClock, dialect: str
) -> None:
    """And gets on with the frames that it had; none has the number of another."""
    async with open_house(*broken()) as house:
        reader = Reader(house, dialect)
        seen: list[Frame] = []

        async def watch() -> None:
            seen.extend(await reader.frames())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.ask)
            await in_a_moment()
            nursery.start_soon(watch)
        assert said(seen) == "Not this"
        assert "answer_replaced" in last_words(seen)
        assert [number_of(frame) for frame in seen] == list(range(len(seen)))
        await reader.assert_resumes_after_each(seen)
        whole = await reader.frames()
        assert number_of(whole[0]) == len(seen)
        assert said(whole) == "But that"


async def test_an_end_that_is_no_answer_is_told_as_it_was(
    autojump_clock: MockClock, dialect: str
) -> None:
    first, _ = broken()
    spare = ScriptedProvider(text("But"), FOREVER, name="spare", then=[Scene()])
    async with open_house(first, spare) as house:
        reader = Reader(house, dialect)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.ask)
            await trio.sleep(5)
            await house.post("/v1/turns/turn_1/cancel")
        whole = await reader.frames()
        assert said(whole) == "But"
        assert "answer_replaced" not in last_words(whole)
        assert "cancel" in last_words(whole)
