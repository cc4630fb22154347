"""Long answers are built in threads and short ones inline, with the same result."""

import threading
from collections.abc import Callable

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from actors.answer.builder import fold
from actors.finalisation import outcome_decision
from actors.journal.checkpointer import decode_events, encode_events
from actors.runtime import offload
from actors.runtime.offload import BUDGET, Cost
from actors.turn.events import AnyEvent, Text
from actors.turn.store_records import Segment
from store.records.turn_records import ChainLink
from tests.support.dialect_journals import DIALECTS
from tests.support.edge_harness import EdgeHarness, chat_body, ended_turn_view, open_harness
from tests.support.responses_requests import create_response, get_response
from tests.support.responses_socket import serve_sockets
from tests.support.sample_events import STARTED, ended
from tests.support.turn_fakes import Line, ScriptedProvider, stop, text
from web.dialects.anthropic_messages import message
from web.dialects.openai_chat import completion as chat_completion
from web.dialects.openai_responses import response as response_object
from web.surfaces.responses import resource
from web.surfaces.responses.history.socket_cache import UnstoredResponses
from web.surfaces.responses.websocket import connection
from web.turns import stored_events

BODIES: dict[str, dict[str, object]] = {
    "/v1/chat/completions": chat_body(),
    "/v1/messages": chat_body(max_tokens=99),
    "/v1/responses": {"model": "large", "input": "Hi"},
}
PIECES = ["ab "] * (BUDGET // Cost.EVENT + 1)
LONG: list[Line] = [text(*PIECES), stop()]
SHORT: list[Line] = [text("a", "b"), stop()]


class ThreadRecorder:
    """Recorder of watched functions: notes for each call if it ran on the event loop's thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._loop_thread = threading.get_ident()
        self.on_loop: list[bool] = []

    def watch(self, module: object, name: str) -> None:
        function: Callable[..., object] = getattr(module, name)

        def recording(*arguments: object, **named: object) -> object:
            self.on_loop.append(threading.get_ident() == self._loop_thread)
            return function(*arguments, **named)

        self._monkeypatch.setattr(module, name, recording)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> ThreadRecorder:
    return ThreadRecorder(monkeypatch)


@pytest.mark.parametrize("lines", [LONG, SHORT])
@pytest.mark.parametrize("path", BODIES)
async def test_long_non_streaming_answer_is_built_in_a_thread(
    autojump_clock: MockClock, recorder: ThreadRecorder, path: str, lines: list[Line]
) -> None:
    async with open_harness(ScriptedProvider(*lines)) as harness:
        plain = (await harness.post(path, json=BODIES[path])).json()
        recorder.watch(chat_completion, "_message")
        recorder.watch(message, "message_object")
        recorder.watch(response_object, "output_items")
        again = await harness.post(path, json=BODIES[path])
        assert again.status_code == 200
        assert recorder.on_loop == [lines is SHORT]
        assert _texts_of(plain) == _texts_of(again.json())


def _texts_of(whole: dict[str, object]) -> list[str]:
    texts: list[str] = []

    def find(value: object) -> None:
        match value:
            case {"text": str(text)} | {"content": str(text)}:
                texts.append(text)
            case dict():
                for within in value.values():
                    find(within)
            case list():
                for within in value:
                    find(within)

    find(whole)
    assert texts
    return texts


@pytest.mark.parametrize("lines", [LONG, SHORT])
async def test_items_of_a_long_answer_are_built_in_a_thread(
    autojump_clock: MockClock, recorder: ThreadRecorder, lines: list[Line]
) -> None:
    """Once for the record and once for the response."""
    async with open_harness(ScriptedProvider(*lines)) as harness:
        for module in (outcome_decision, response_object):
            recorder.watch(module, "items_of")
        await create_response(harness)
        assert recorder.on_loop == [lines is SHORT] * 2
        assert harness.turns.record.items is not None


@pytest.mark.parametrize("lines", [LONG, SHORT])
async def test_long_stored_response_is_read_in_a_thread(
    autojump_clock: MockClock,
    recorder: ThreadRecorder,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[Line],
) -> None:
    monkeypatch.setattr(offload, "BUDGET", 1000 * Cost.ITEM_TEXT)
    async with open_harness(ScriptedProvider(*lines)) as harness:
        response = await create_response(harness)
        recorder.watch(resource, "decode_items")
        assert await get_response(harness, response["id"]) == response
        assert recorder.on_loop == [lines is SHORT]


@pytest.mark.parametrize("lines", [LONG, SHORT])
async def test_items_of_an_unstored_response_are_built_in_a_thread(
    autojump_clock: MockClock,
    recorder: ThreadRecorder,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[Line],
) -> None:
    remembered: list[ChainLink] = []
    keep = UnstoredResponses.keep

    def note(self: UnstoredResponses, link: ChainLink) -> None:
        remembered.append(link)
        keep(self, link)

    monkeypatch.setattr(UnstoredResponses, "keep", note)
    recorder.watch(connection, "encode_items")
    async with open_harness(ScriptedProvider(*lines)) as harness, serve_sockets(harness) as server:
        await (await server.open()).respond(store=False)
    assert recorder.on_loop == [lines is SHORT]
    (link,) = remembered
    assert ("ab ab" in link.answer_items) is (lines is LONG)


def store_segments(harness: EdgeHarness, journal: list[AnyEvent]) -> None:
    """Store the events of an ended turn in two segments of different sizes."""
    over = ended_turn_view(harness.store.finals[0])
    harness.store.views["turn_7"] = replace(over, id="turn_7", last_event=len(journal) - 1)
    harness.store.kept["turn_7"] = {
        first: Segment("turn_7", "owner_1", first, first + len(part) - 1, encode_events(part))
        for first, part in ((0, journal[:2]), (2, journal[2:]))
    }


async def test_large_segments_are_read_in_a_thread(
    autojump_clock: MockClock, recorder: ThreadRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offload, "BUDGET", 200 * Cost.EVENT_BYTE)
    journal: list[AnyEvent] = [STARTED, *[Text("ab ")] * 100, ended()]
    async with open_harness(ScriptedProvider(*SHORT)) as harness:
        await create_response(harness)
        store_segments(harness, journal)
        recorder.watch(stored_events, "_one_by_one")
        segments = await harness.store.segments("turn_7")
        threads = trio.CapacityLimiter(1)
        assert await stored_events.load_stored_events(segments, threads) == journal
        assert recorder.on_loop == [False]
        assert (await harness.get("/v1/turns/turn_7/events")).status_code == 200


def test_piecewise_decoding_yields_the_same_events() -> None:
    journal: list[AnyEvent] = [STARTED, Text("a", "{}"), ended()]
    blob = encode_events(journal)
    assert stored_events._one_by_one(blob) == decode_events(blob) == journal


@pytest.mark.parametrize("name", DIALECTS)
def test_given_items_yield_the_same_answer(name: str) -> None:
    journal: list[AnyEvent] = [STARTED, Text("a"), ended()]
    whole = DIALECTS[name].whole
    assert whole(journal, {}, fold(journal)) == whole(journal, {}, None)
