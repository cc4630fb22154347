"""Tests of the streams that a client gets after a retry if it has seen no content."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.answer.builder import settled_events
from actors.turn import events
from actors.turn.events import AnyEvent, Text
from actors.turn.outcome import Reason
from tests.support import chat_readers as reading
from tests.support import messages_readers as messages_reading
from tests.support.dialect_journals import DIALECTS
from tests.support.responses_readers import sdk_final_response
from tests.support.sample_events import STARTED, answer_events, ended
from tests.support.sizes import examples
from web.dialects.base import DialectStream
from web.dialects.frames import START, Cursor, parse_cursor
from web.dialects.openai_responses.response import response_object

SPARE = events.RouteChanged("spare", "spare-model", "truncated")
ANEW = events.Retry("truncated")


answers = st.lists(answer_events | st.just(events.Retry("guard")), max_size=12)
journals = st.builds(
    lambda answer, end: [STARTED, *answer, end], answers, st.sampled_from(Reason).map(ended)
)


@given(journals)
def test_settled_items_are_the_items_of_the_turn(journal: list[AnyEvent]) -> None:
    again = [
        msgspec.json.encode(response_object(j, {}))
        for j in (journal, list(settled_events(journal)))
    ]
    assert again[0] == again[1]


IDS: dict[str, Callable[[bytes], list[str]]] = {
    "openai-chat": lambda stream: [frame.id for frame in reading.frames_of(stream)],
    "anthropic-messages": lambda stream: [f.id for f in messages_reading.frames_of(stream)],
    "openai-responses": lambda stream: [f.id for f in messages_reading.frames_of(stream)],
}


def streams(name: str, journal: list[AnyEvent], after: Cursor = START) -> tuple[bytes, bytes, bool]:
    """Return the live stream, the settled stream, and whether the live one discarded content."""

    def render() -> DialectStream:
        return DIALECTS[name].stream({}, after)

    shown, again = render(), render()
    first = shown.render(journal)
    again.numbering.continue_after(shown.numbering)
    return first, again.render(list(settled_events(journal))), shown.discarded


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=examples(50))
@given(journal=journals)
def test_settled_stream_reuses_no_frame_number(name: str, journal: list[AnyEvent]) -> None:
    first, again, _ = streams(name, journal)
    ids = IDS[name](first) + IDS[name](again)
    assert ids == [f"{name}:{number}" for number in range(len(ids))]


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=examples(20))
@given(journal=journals)
def test_settled_stream_can_be_resumed_after_any_frame(name: str, journal: list[AnyEvent]) -> None:
    _, whole, _ = streams(name, journal)
    ids = IDS[name](whole)
    for k, id in enumerate(ids, 1):
        _, rest, _ = streams(name, journal, parse_cursor(id, name))
        assert IDS[name](rest) == ids[k:]
        assert whole.endswith(rest)


@pytest.mark.parametrize("name", DIALECTS)
@given(journal=journals)
def test_settled_stream_discards_nothing(name: str, journal: list[AnyEvent]) -> None:
    rendering = DIALECTS[name].stream({}, START)
    rendering.render(list(settled_events(journal)))
    assert not rendering.discarded


def test_sdk_stream_helper_accepts_numbers_that_begin_late() -> None:
    journal: list[AnyEvent] = [STARTED, Text("Not this"), SPARE, ANEW, Text("But that"), ended()]
    first, again, discarded = streams("openai-responses", journal)
    assert discarded
    assert sdk_final_response(first) is None
    completed = sdk_final_response(again)
    assert completed is not None
    assert completed.output_text == "But that"
