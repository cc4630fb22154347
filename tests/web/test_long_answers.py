"""Long answers are put together in threads, short ones where they are; they look the same."""

import threading
from collections.abc import Callable

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from actors import finalise
from actors.answer_items import items_of
from actors.checkpointer import decode_events, encode_events
from actors.events import AnyEvent, Text
from actors.long_answers import LONG_EVENTS
from actors.ports import Segment
from store.records import ChainLink
from tests.actors.fakes import Line, ScriptedProvider, stop, text
from tests.actors.samples import STARTED, ended
from tests.web.house import House, asking, open_house, view
from tests.web.responding import responded, shown
from tests.web.socket_client import door_of
from web import kept_events
from web.dialects import chat_completion, kinds, message, response_object
from web.responses import view as view_module
from web.responses import ws
from web.responses.unstored import UnstoredResponses

ASKED: dict[str, dict[str, object]] = {
    "/v1/chat/completions": asking(),
    "/v1/messages": asking(max_tokens=99),
    "/v1/responses": {"model": "large", "input": "Hi"},
}
PIECES = ["ab "] * (LONG_EVENTS + 1)
LONG: list[Line] = [text(*PIECES), stop()]
SHORT: list[Line] = [text("a", "b"), stop()]


class Places:
    """Where functions are called: whether in the thread of the event loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._here = threading.get_ident()
        self.called: list[bool] = []

    def watch(self, module: object, name: str) -> None:
        function: Callable[..., object] = getattr(module, name)

        def noting(*arguments: object, **named: object) -> object:
            self.called.append(threading.get_ident() == self._here)
            return function(*arguments, **named)

        self._monkeypatch.setattr(module, name, noting)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Places:
    return Places(monkeypatch)


@pytest.mark.parametrize("lines", [LONG, SHORT])
@pytest.mark.parametrize("path", ASKED)
async def test_whole_answers(
    autojump_clock: MockClock, places: Places, path: str, lines: list[Line]
) -> None:
    async with open_house(ScriptedProvider(*lines)) as house:
        plain = (await house.post(path, json=ASKED[path])).json()
        places.watch(chat_completion, "_message")
        places.watch(message, "message_object")
        places.watch(response_object, "output_items")
        again = await house.post(path, json=ASKED[path])
        assert again.status_code == 200
        assert places.called == [lines is SHORT]
        assert _said(plain) == _said(again.json())


def _said(whole: dict[str, object]) -> list[str]:
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
async def test_the_items_are_made_once(
    autojump_clock: MockClock, places: Places, lines: list[Line]
) -> None:
    """For the record and for the answer."""
    async with open_house(ScriptedProvider(*lines)) as house:
        for module in (finalise, response_object):
            places.watch(module, "items_of")
        await responded(house)
        assert places.called == [lines is SHORT]
        assert house.theatre.record.items is not None


@pytest.mark.parametrize("lines", [LONG, SHORT])
async def test_a_response_from_the_store(
    autojump_clock: MockClock,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[Line],
) -> None:
    monkeypatch.setattr("web.responses.resource.LONG_ITEMS", 1000)
    async with open_house(ScriptedProvider(*lines)) as house:
        response = await responded(house)
        places.watch(view_module, "read_items")
        assert await shown(house, response["id"]) == response
        assert places.called == [lines is SHORT]


@pytest.mark.parametrize("lines", [LONG, SHORT])
async def test_what_a_socket_remembers(
    autojump_clock: MockClock,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[Line],
) -> None:
    remembered: list[ChainLink] = []
    keep = UnstoredResponses.keep

    def note(self: UnstoredResponses, link: ChainLink) -> None:
        remembered.append(link)
        keep(self, link)

    monkeypatch.setattr(UnstoredResponses, "keep", note)
    places.watch(ws, "kept_items")
    async with open_house(ScriptedProvider(*lines)) as house, door_of(house) as door:
        await (await door.open()).respond(store=False)
    assert places.called == [lines is SHORT]
    (link,) = remembered
    assert ("ab ab" in link.answer_items) is (lines is LONG)


def kept(house: House, journal: list[AnyEvent]) -> None:
    """The events of a turn that is over, in two segments of different sizes."""
    over = view(house.store.finals[0])
    house.store.views["turn_7"] = replace(over, id="turn_7", last_event=len(journal) - 1)
    house.store.kept["turn_7"] = {
        first: Segment("turn_7", "owner_1", first, first + len(part) - 1, encode_events(part))
        for first, part in ((0, journal[:2]), (2, journal[2:]))
    }


async def test_large_segments_are_read_in_a_thread(
    autojump_clock: MockClock, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_events, "AT_ONCE", 200)
    journal: list[AnyEvent] = [STARTED, *[Text("ab ")] * 100, ended()]
    async with open_house(ScriptedProvider(*SHORT)) as house:
        await responded(house)
        kept(house, journal)
        places.watch(kept_events, "_one_by_one")
        segments = await house.store.segments("turn_7")
        threads = trio.CapacityLimiter(1)
        assert await kept_events.kept_events(segments, threads) == journal
        assert places.called == [False]
        assert (await house.get("/v1/turns/turn_7/events")).status_code == 200


def test_what_is_in_pieces_is_the_same() -> None:
    journal: list[AnyEvent] = [STARTED, Text("a", "{}"), ended()]
    blob = encode_events(journal)
    assert kept_events._one_by_one(blob) == decode_events(blob) == journal


@pytest.mark.parametrize("name", kinds.KINDS)
def test_with_the_items_at_hand_it_is_the_same(name: str) -> None:
    journal: list[AnyEvent] = [STARTED, Text("a"), ended()]
    whole = kinds.KINDS[name].whole
    assert whole(journal, {}, items_of(journal)) == whole(journal, {})
