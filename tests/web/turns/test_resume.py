"""Resumed streams: positions past the end, lost frames, and answers that were retried."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from actors.journal.checkpointer import encode_events
from actors.turn import events
from actors.turn.chunks import Chunk, ToolCallChunk
from actors.turn.events import AnyEvent, Text
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import Reason
from actors.turn.store_records import Segment
from tests.support import chat_readers as reading
from tests.support import messages_readers as messages_reading
from tests.support.dialect_journals import DIALECTS
from tests.support.edge_harness import EdgeHarness, brief_pause, ended_turn_view, open_harness
from tests.support.sample_events import STARTED, ended
from tests.support.turn_fakes import FOREVER, Scene, ScriptedProvider, stop, text
from web.dialects.frames import START

DIALECT_NAMES = list(DIALECTS)
CUT = UpstreamFailure(FailureKind.TRUNCATED, "The answer broke off.")
Frame = reading.Frame | messages_reading.Frame

_READ: dict[str, Callable[[bytes], list[Any]]] = {
    "openai-chat": reading.frames_of,
    "anthropic-messages": messages_reading.frames_of,
    "openai-responses": messages_reading.frames_of,
}
_REQUESTS: dict[str, tuple[str, dict[str, object]]] = {
    "openai-chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
    "anthropic-messages": (
        "/v1/messages",
        {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 99},
    ),
    "openai-responses": ("/v1/responses", {"input": "Hi"}),
}


class Reader:
    """A client that runs and resumes turns in one dialect."""

    def __init__(self, harness: EdgeHarness, dialect: str) -> None:
        self.harness = harness
        self.dialect = dialect

    async def ask(self, **changes: object) -> httpx.Response:
        """Run a turn and read the response to its end."""
        path, body = _REQUESTS[self.dialect]
        return await self.harness.post(path, json={"model": "large"} | body | changes)

    async def events(self, after: str | int | None = None, turn: int = 1) -> httpx.Response:
        query = {} if after is None else {"starting_after": after}
        return await self.harness.get(f"/v1/turns/turn_{turn}/events", params=query)

    async def frames(self, after: str | int | None = None) -> list[Frame]:
        """Return the frames after that one; none if the status is 204."""
        answer = await self.events(after)
        assert answer.status_code in (200, 204), answer.text
        return self.read(answer.content) if answer.content else []

    def read(self, stream: bytes) -> list[Frame]:
        found: list[Frame] = _READ[self.dialect](stream)
        return found

    async def assert_resumes_after_each(self, whole: list[Frame]) -> None:
        """Check the rest after each frame, by id and by number; nothing follows the last."""
        for k, frame in enumerate(whole, 1):
            assert await self.frames(frame.id) == whole[k:]
            assert await self.frames(frame.id.partition(":")[2]) == whole[k:]

    async def assert_refused(self, after: str | int, last: str, turn: int = 1) -> None:
        answer = await self.events(after, turn)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("invalid_cursor", "starting_after")
        assert error["message"].endswith(last)


@pytest.fixture(params=DIALECT_NAMES)
def dialect(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def number_of(frame: Frame) -> int:
    return int(frame.id.partition(":")[2])


async def test_position_past_the_end_of_an_ended_turn_is_refused(
    autojump_clock: MockClock, dialect: str
) -> None:
    async with open_harness(ScriptedProvider(text("a"), text("b"), stop())) as harness:
        reader = Reader(harness, dialect)
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


async def test_many_buffered_tool_calls_are_replayed(
    autojump_clock: MockClock, dialect: str
) -> None:
    """All calls wait for the first one, which never completes, and come at the end."""
    calls: list[Chunk] = [
        ToolCallChunk(index, f"c{index}", "f", "{}"[: index + 1]) for index in range(600)
    ]
    async with open_harness(ScriptedProvider(calls, stop(Reason.TOOL_CALLS))) as harness:
        reader = Reader(harness, dialect)
        whole = reader.read((await reader.ask(stream=True)).content)
        assert sum('"c599"' in frame.data for frame in whole) >= 1
        assert await reader.frames() == whole
        assert await reader.frames(whole[-2].id) == whole[-1:]
        assert not await reader.frames(whole[-1].id)


async def test_position_past_the_end_of_a_live_turn_is_refused(
    autojump_clock: MockClock, dialect: str
) -> None:
    """The request is refused at once and does not disturb other readers."""
    async with open_harness(ScriptedProvider(text("a"), 2.0, text("b"), stop())) as harness:
        reader = Reader(harness, dialect)
        got: list[httpx.Response] = []

        async def start() -> None:
            got.append(await reader.ask(stream=True))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(start)
            await trio.sleep(1)
            so_far = DIALECTS[dialect].stream({}, START)
            turn = next(iter(harness.registry))
            seen = reader.read(so_far.render(list(turn.journal.events)))
            for after in (len(seen), 9_999_999_999, f"{dialect}:{len(seen)}", "0@1"):
                await reader.assert_refused(after, f"the last one is '{seen[-1].id}'.")
            assert trio.current_time() == 1
            assert turn.leases == 1
            rest = await reader.frames(seen[-1].id)
        whole = reader.read(got[0].content)
        assert rest == whole[len(seen) :]
        assert len(rest) > 1


async def test_position_before_the_first_frame_is_refused(
    autojump_clock: MockClock, dialect: str
) -> None:
    async with open_harness(ScriptedProvider(text("a"), stop(), head=2.0)) as harness:
        reader = Reader(harness, dialect)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.ask)
            await trio.sleep(1)
            await reader.assert_refused(0, f"no frame '{dialect}:0'; there is none yet.")
            assert len(await reader.frames()) > 1


async def test_long_journal_is_searched_in_batches(
    autojump_clock: MockClock, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal also grows during the search."""
    monkeypatch.setattr("actors.journal.journal.AT_ONCE", 3)
    main = ScriptedProvider(text(*"abcdefgh"), 2.0, text(*"ijkl"), stop())
    async with open_harness(main) as harness:
        reader = Reader(harness, dialect)
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


async def test_response_stream_refuses_a_position_past_the_end(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(text("a"), stop())) as harness:
        await Reader(harness, "openai-responses").ask()
        path = "/v1/responses/resp_1?stream=true&starting_after="
        assert (await harness.get(path + "8")).status_code == 204
        beyond = await harness.get(path + "9")
        assert beyond.status_code == 400
        assert beyond.json()["error"]["message"].endswith("is 'openai-responses:8'.")


def store_lost_turn(harness: EdgeHarness, *kept: AnyEvent) -> None:
    """Store a turn of another process that died after it had sent more than was stored."""
    journal = [STARTED, *kept, events.Recovered(1), ended(Reason.OWNER_LOST)]
    over = ended_turn_view(harness.store.finals[0])
    harness.store.views["turn_7"] = replace(over, id="turn_7", last_event=len(journal) - 1)
    blob = encode_events(journal)
    harness.store.kept["turn_7"] = {0: Segment("turn_7", "owner_1", 0, len(journal) - 1, blob)}


@pytest.mark.parametrize("kept", [(), (Text("a"), Text("b"))])
async def test_position_in_lost_frames_resumes_at_the_new_epoch(
    autojump_clock: MockClock, dialect: str, kept: tuple[AnyEvent, ...]
) -> None:
    """Positions in the lost epoch are accepted, those past the end of the new one are not."""
    async with open_harness(ScriptedProvider(stop())) as harness:
        reader = Reader(harness, dialect)
        await reader.ask()
        store_lost_turn(harness, *kept)
        whole = reader.read((await reader.events(turn=7)).content)
        new = [frame for frame in whole if frame.id.endswith("@1")]
        assert whole[-len(new) :] == new != []
        for after in (len(whole), 999_999, f"{dialect}:{len(whole)}"):
            assert reader.read((await reader.events(after, turn=7)).content) == new
        assert (await reader.events(new[-1].id, turn=7)).status_code == 204
        number = int(new[-1].id.partition(":")[2].partition("@")[0])
        for after in (f"{number + 1}@1", f"{dialect}:0@2"):
            await reader.assert_refused(after, f"the last one is '{new[-1].id}'.", turn=7)


def truncated_then_spare() -> tuple[ScriptedProvider, ScriptedProvider]:
    """Return a provider whose answer is truncated, and a spare one that answers."""
    first = ScriptedProvider(text("Not "), text("this"), 1.0, CUT)
    return first, ScriptedProvider(text("But "), 1.0, text("that"), stop(), name="spare")


def text_of(frames: list[Frame]) -> str:
    """Return all text in the deltas."""
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


def last_data(frames: list[Frame]) -> str:
    return frames[-1].data


COMPLETE_ENDS = {
    "openai-chat": "[DONE]",
    "anthropic-messages": '{"type":"message_stop"}',
    "openai-responses": '{"type":"response.completed"',
}


async def test_retried_answer_is_replayed_without_discarded_text(
    autojump_clock: MockClock, dialect: str
) -> None:
    """A reader that starts after the end sees nothing of the discarded text."""
    async with open_harness(*truncated_then_spare()) as harness:
        reader = Reader(harness, dialect)
        assert (await reader.ask()).status_code == 200
        turn = (await harness.get("/v1/turns/turn_1")).json()
        assert (turn["status"], turn["text"]) == ("completed", "But that")
        whole = await reader.frames()
        assert text_of(whole) == "But that"
        assert last_data(whole).startswith(COMPLETE_ENDS[dialect])
        assert "Not" not in (await reader.events()).text
        first = number_of(whole[0])
        assert [number_of(frame) for frame in whole] == list(range(first, first + len(whole)))
        await reader.assert_resumes_after_each(whole)
        await reader.assert_refused(first + len(whole), f"the last one is '{whole[-1].id}'.")


async def test_reader_of_discarded_text_gets_answer_replaced(
    autojump_clock: MockClock, dialect: str
) -> None:
    """Such a reader can resume after each of its frames; frame numbers are never reused."""
    async with open_harness(*truncated_then_spare()) as harness:
        reader = Reader(harness, dialect)
        seen: list[Frame] = []

        async def watch() -> None:
            seen.extend(await reader.frames())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.ask)
            await brief_pause()
            nursery.start_soon(watch)
        assert text_of(seen) == "Not this"
        assert "answer_replaced" in last_data(seen)
        assert [number_of(frame) for frame in seen] == list(range(len(seen)))
        await reader.assert_resumes_after_each(seen)
        whole = await reader.frames()
        assert number_of(whole[0]) == len(seen)
        assert text_of(whole) == "But that"


async def test_cancelled_retry_is_replayed_as_cancelled(
    autojump_clock: MockClock, dialect: str
) -> None:
    first, _ = truncated_then_spare()
    spare = ScriptedProvider(text("But"), FOREVER, name="spare", then=[Scene()])
    async with open_harness(first, spare) as harness:
        reader = Reader(harness, dialect)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.ask)
            await trio.sleep(5)
            await harness.post("/v1/turns/turn_1/cancel")
        whole = await reader.frames()
        assert text_of(whole) == "But"
        assert "answer_replaced" not in last_data(whole)
        assert "cancel" in last_data(whole)
