"""What is told of an answer that was begun anew, to those who saw nothing of it before."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import events
from actors.events import AnyEvent, Reasoning, Refusal, Text, ToolCall
from actors.outcome import Reason
from actors.recovery import visible_text
from tests.actors.samples import STARTED, answer_events, ended
from tests.web.dialects import messages_reading, reading
from tests.web.dialects.responses_stream import as_the_sdk_follows
from web.dialects.frames import START, Cursor, parse_cursor
from web.dialects.kinds import KINDS
from web.dialects.rendering import Rendering
from web.dialects.response_object import response_object
from web.dialects.retold import retold

SPARE = events.RouteChanged("spare", "spare-model", "truncated")
WARNING = events.Warning("parameter_ignored", "x")
ANEW = events.Retry("truncated")
CALL = ToolCall(0, "call_a", "f", "{}")


@pytest.mark.parametrize(
    ("journal", "told"),
    [
        ([], []),
        ([Text("a"), CALL], [Text("a"), CALL]),
        ([Text("a"), ANEW, Text("b")], [Text("b")]),
        ([WARNING, Text("a"), SPARE, ANEW, Text("b")], [WARNING, SPARE, Text("b")]),
        ([Text("a"), ANEW, Refusal("b"), ANEW, Reasoning("c")], [Reasoning("c")]),
        ([Text("a"), ANEW], []),
        ([Text("a"), Text("b"), events.Replace("c", "guard"), Text("d")], [Text("c"), Text("d")]),
        ([Reasoning("a"), events.Replace("b", "guard")], [Reasoning("a"), Text("b")]),
        ([Text("a"), CALL, Text("b"), events.Replace("c", "guard")], [Text("c"), CALL]),
        (
            [events.Replace("a", "guard"), CALL, events.Replace("b", "guard"), Text("c")],
            [Text("b"), CALL, Text("c")],
        ),
        ([events.Replace("a", "guard"), ANEW, Text("b")], [Text("b")]),
        ([Text("a"), ANEW, Text("b"), events.Replace("c", "guard")], [Text("c")]),
    ],
)
def test_what_was_taken_back_is_not_told(journal: list[AnyEvent], told: list[AnyEvent]) -> None:
    assert list(retold([STARTED, *journal, ended()])) == [STARTED, *told, ended()]


answers = st.lists(answer_events | st.just(events.Retry("guard")), max_size=12)
journals = st.builds(
    lambda answer, end: [STARTED, *answer, end], answers, st.sampled_from(Reason).map(ended)
)


@given(journals)
def test_its_text_is_the_turns(journal: list[AnyEvent]) -> None:
    told = list(retold(journal))
    assert visible_text(told) == visible_text(journal)
    assert not any(isinstance(event, events.Retry | events.Replace) for event in told)


@given(journals.filter(lambda journal: not any(isinstance(e, events.Replace) for e in journal)))
def test_its_items_are_the_turns(journal: list[AnyEvent]) -> None:
    again = [msgspec.json.encode(response_object(j, {})) for j in (journal, list(retold(journal)))]
    assert again[0] == again[1]


IDS: dict[str, Callable[[bytes], list[str]]] = {
    "openai-chat": lambda stream: [frame.id for frame in reading.frames_of(stream)],
    "anthropic-messages": lambda stream: [f.id for f in messages_reading.frames_of(stream)],
    "openai-responses": lambda stream: [f.id for f in messages_reading.frames_of(stream)],
}


def both(name: str, journal: list[AnyEvent], after: Cursor = START) -> tuple[bytes, bytes, bool]:
    """The turn as it was shown, as it is told again, and whether it needs to be."""

    def render() -> Rendering:
        return KINDS[name].stream({}, after)

    shown, again = render(), render()
    first = shown.render(journal)
    again.numbering.go_on_from(shown.numbering)
    return first, again.render(list(retold(journal))), shown.taken_back


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=50)
@given(journal=journals)
def test_no_number_is_given_to_two_frames(name: str, journal: list[AnyEvent]) -> None:
    first, again, _ = both(name, journal)
    ids = IDS[name](first) + IDS[name](again)
    assert ids == [f"{name}:{number}" for number in range(len(ids))]


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=20)
@given(journal=journals)
def test_it_can_be_resumed_after_every_frame(name: str, journal: list[AnyEvent]) -> None:
    _, whole, _ = both(name, journal)
    ids = IDS[name](whole)
    for k, id in enumerate(ids, 1):
        _, rest, _ = both(name, journal, parse_cursor(id, name))
        assert IDS[name](rest) == ids[k:]
        assert whole.endswith(rest)


@pytest.mark.parametrize("name", KINDS)
@given(journal=journals)
def test_nothing_of_it_is_taken_back(name: str, journal: list[AnyEvent]) -> None:
    rendering = KINDS[name].stream({}, START)
    rendering.render(list(retold(journal)))
    assert not rendering.taken_back


def test_the_sdks_helper_does_not_mind_that_its_numbers_begin_late() -> None:
    journal: list[AnyEvent] = [STARTED, Text("Not this"), SPARE, ANEW, Text("But that"), ended()]
    first, again, taken_back = both("openai-responses", journal)
    assert taken_back
    assert as_the_sdk_follows(first) is None
    completed = as_the_sdk_follows(again)
    assert completed is not None
    assert completed.output_text == "But that"
