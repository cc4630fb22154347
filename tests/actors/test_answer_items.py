"""The items of an answer: what begins one, what ends it, and how each is left."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import events
from actors.answer_growth import AnswerGrowth
from actors.answer_items import (
    FunctionCallItem,
    Item,
    ItemStatus,
    MessageItem,
    MessagePart,
    ReasoningItem,
    RefusalPart,
    TextPart,
    decode_items,
    encode_items,
    items_of,
)
from actors.answer_parts import Grew, ItemClosed, ItemOpened, PartClosed, PartOpened
from actors.events import AnyEvent, Reasoning, Refusal, Text, ToolCall, ToolCallDelta
from actors.outcome import Reason
from actors.recovery import visible_text
from tests.actors.samples import STARTED, answer_events, ended

DONE, CUT, OPEN = ItemStatus.COMPLETED, ItemStatus.INCOMPLETE, ItemStatus.IN_PROGRESS
WHOLE = [Reason.STOP, Reason.TOOL_CALLS]


def message(*parts: MessagePart | str, status: ItemStatus = DONE) -> MessageItem:
    made = tuple(TextPart(part) if isinstance(part, str) else part for part in parts)
    return MessageItem(status=status, parts=made)


def thought(text: str, status: ItemStatus = DONE) -> ReasoningItem:
    return ReasoningItem(status=status, text=text)


def call(
    arguments: str, status: ItemStatus = DONE, *, id: str = "call_a", name: str = "f"
) -> FunctionCallItem:
    return FunctionCallItem(status=status, call_id=id, name=name, arguments=arguments)


def said(*answer: AnyEvent, reason: Reason = Reason.STOP) -> list[Item]:
    return items_of([STARTED, *answer, ended(reason)])


def so_far(*answer: AnyEvent) -> list[Item]:
    return items_of([STARTED, *answer])


def begun(index: int = 0, id: str | None = "call_a", name: str | None = "f") -> ToolCallDelta:
    return ToolCallDelta(index, id, name, "")


def more(arguments: str, index: int = 0) -> ToolCallDelta:
    return ToolCallDelta(index, None, None, arguments)


def test_nothing_said_is_no_item() -> None:
    assert said() == []


def test_pieces_of_text_are_one_message() -> None:
    assert said(Text("Hel"), Text("lo")) == [message("Hello")]


@pytest.mark.parametrize("empty", [Text(""), Reasoning(""), Refusal("")])
def test_an_empty_piece_begins_nothing(empty: AnyEvent) -> None:
    assert said(empty) == []
    assert said(Text("a"), empty, Text("b")) == [message("ab")]


def test_logprobs_without_text_are_of_the_text() -> None:
    given = '{"content":[]}'
    assert said(Text("", given)) == [message(TextPart("", (given,)))]


def test_logprobs_of_later_pieces_are_kept_in_order() -> None:
    first, second = '{"content":[1]}', '{"content":[2]}'
    assert said(Text("a", first), Text("b"), Text("c", second)) == [
        message(TextPart("abc", (first, second)))
    ]


def test_thinking_and_messages_take_turns() -> None:
    assert said(Reasoning("hm"), Reasoning("m"), Text("a"), Reasoning("oh"), Text("b")) == [
        thought("hmm"),
        message("a"),
        thought("oh"),
        message("b"),
    ]


def test_text_and_refusal_are_parts_of_one_message() -> None:
    assert said(Text("a"), Refusal("n"), Refusal("o"), Text("b")) == [
        message("a", RefusalPart("no"), "b")
    ]


def test_text_before_and_after_a_call_are_two_messages() -> None:
    assert said(Text("a"), begun(), more("{}"), Text("b"), ToolCall(0, "call_a", "f", "{}")) == [
        message("a"),
        call("{}"),
        message("b"),
    ]


def test_a_call_that_goes_on_does_not_end_the_message_after_it() -> None:
    assert said(begun(), Text("a"), more("{"), Text("b"), more("}")) == [
        call("{}"),
        message("ab"),
    ]


def test_parallel_calls_grow_side_by_side() -> None:
    assert said(begun(0, "a", "f"), begun(1, "b", "g"), more("1", 1), more("0"), more("1", 1)) == [
        call("0", id="a", name="f"),
        call("11", id="b", name="g"),
    ]


def test_a_whole_call_alone_is_a_call() -> None:
    assert said(ToolCall(0, "call_a", "f", '{"a":1}')) == [call('{"a":1}')]


def test_a_whole_call_brings_what_its_pieces_did_not() -> None:
    assert said(begun(), more('{"a"'), ToolCall(0, "call_a", "f", '{"a":1}')) == [call('{"a":1}')]


def test_what_was_shown_of_a_call_stands() -> None:
    assert said(begun(), more("{1"), ToolCall(0, "call_a", "f", "{2}")) == [call("{1")]


def test_a_call_is_an_item_from_when_it_has_a_name() -> None:
    unnamed: list[AnyEvent] = [begun(0, None, None), more('{"a')]
    assert so_far(*unnamed) == []
    named: list[AnyEvent] = [*unnamed, Text("t"), begun(), more('":1}')]
    assert so_far(*named) == [message("t"), call('{"a":1}', OPEN)]


def test_a_call_that_never_had_a_name_is_shown_if_anything_came() -> None:
    assert said(begun(0, "call_a", None), more("{"), reason=Reason.UPSTREAM_TRUNCATED) == [
        call("{", CUT, name="")
    ]
    assert said(begun(0, "call_a", None), reason=Reason.UPSTREAM_TRUNCATED) == []
    assert said(Text("t"), begun(0, "call_a", None), more("{"), reason=Reason.LENGTH) == [
        message("t", status=CUT),
        call("{", CUT, name=""),
    ]


@pytest.mark.parametrize("id", [None, ""])
def test_a_call_without_an_id_gets_one(id: str | None) -> None:
    items = said(begun(0, id, "f"), begun(1, id, "g"))
    assert items == [call("", id="call_1_0"), call("", id="call_1_1", name="g")]


def test_no_two_calls_have_one_id() -> None:
    items = said(begun(0, "same"), begun(1, "same"))
    assert items == [call("", id="same"), call("", id="call_1_1")]


def test_a_call_that_follows_a_whole_one_is_another() -> None:
    """As where a turn has several steps, each of which counts its calls from 0."""
    assert said(begun(), ToolCall(0, "call_a", "f", "{}"), begun(0, "call_b", "g"), more("[]")) == [
        call("{}"),
        call("[]", id="call_b", name="g"),
    ]
    assert said(ToolCall(0, "call_a", "f", "1"), ToolCall(0, "call_b", "f", "2")) == [
        call("1"),
        call("2", id="call_b"),
    ]


@pytest.mark.parametrize("reason", Reason)
def test_what_is_open_at_the_end_is_whole_only_where_the_answer_is(reason: Reason) -> None:
    left = DONE if reason in WHOLE else CUT
    assert said(begun(), more("{}"), Text("a"), reason=reason) == [
        call("{}", left),
        message("a", status=left),
    ]
    assert said(Reasoning("hm"), reason=reason) == [thought("hm", left)]


@pytest.mark.parametrize("reason", [Reason.LENGTH, Reason.CONTENT_FILTER, Reason.SIZE_LIMIT])
def test_a_call_that_was_cut_is_unfinished_although_it_was_called_whole(reason: Reason) -> None:
    """At a finish of whatever kind every call is said to be whole."""
    calls: list[AnyEvent] = [begun(0, "a"), begun(1, "b"), more("{}"), more('{"x', 1)]
    whole: list[AnyEvent] = [ToolCall(0, "a", "f", "{}"), ToolCall(1, "b", "f", '{"x')]
    assert said(*calls, *whole, reason=reason) == [call("{}", id="a"), call('{"x', CUT, id="b")]
    assert said(*calls, *whole) == [call("{}", id="a"), call('{"x', id="b")]


def test_a_whole_call_is_whole_as_soon_as_something_follows() -> None:
    whole: list[AnyEvent] = [begun(), more('{"x'), ToolCall(0, "call_a", "f", '{"x')]
    assert so_far(*whole) == [call('{"x', OPEN)]
    follows = said(*whole, Text("a"), reason=Reason.LENGTH)
    assert follows == [call('{"x'), message("a", status=CUT)]


def test_so_it_is_where_the_text_that_follows_goes_on_with_what_is_open() -> None:
    whole: list[AnyEvent] = [begun(), more('{"x'), Text("a"), ToolCall(0, "call_a", "f", '{"x')]
    assert said(*whole, Text("b"), reason=Reason.LENGTH) == [
        call('{"x'),
        message("ab", status=CUT),
    ]


def test_while_the_turn_plays_what_grows_is_in_progress() -> None:
    assert so_far(Reasoning("hm"), Text("a")) == [thought("hm"), message("a", status=OPEN)]


def test_an_answer_begun_anew_leaves_nothing_of_the_first() -> None:
    first: list[AnyEvent] = [Reasoning("hm"), Text("bad"), begun(), more("{"), begun(1, None, None)]
    assert said(*first, events.Retry("guard")) == []
    assert said(*first, events.Retry("guard"), Text("good"), begun(), more("1")) == [
        message("good"),
        call("1"),
    ]


def test_an_answer_begun_anew_counts_its_calls_from_the_first() -> None:
    assert said(begun(0, None), events.Retry("guard"), begun(0, None)) == [call("", id="call_1_0")]


def test_a_replacement_has_no_logprobs() -> None:
    assert said(Text("a", '{"content":[]}'), events.Replace("new", "guard")) == [message("new")]


def test_after_a_replacement_everything_knows_its_new_place() -> None:
    growth = AnswerGrowth()
    answer: list[AnyEvent] = [Text("a"), begun(), Text("b"), begun(1), Text("c"), Refusal("no")]
    for event in [STARTED, *answer, events.Replace("new", "guard")]:
        growth.feed(event)
    assert [item.index for item in growth.items] == [0, 1, 2, 3]
    assert [[part.index for part in item.parts] for item in growth.items] == [[0]] * 4


def test_a_replacement_stands_where_the_first_text_stood() -> None:
    answer: list[AnyEvent] = [
        Reasoning("hm"),
        Text("a"),
        begun(),
        Text("b"),
        Refusal("no"),
        Text("c"),
    ]
    replaced: list[AnyEvent] = [*answer, events.Replace("new", "guard")]
    assert said(*replaced) == [thought("hm"), message("new"), call(""), message(RefusalPart("no"))]
    assert said(*replaced, Text("d")) == [
        thought("hm"),
        message("new"),
        call(""),
        message(RefusalPart("no"), "d"),
    ]


def test_a_message_that_was_all_replaced_is_gone_and_text_begins_another() -> None:
    answer: list[AnyEvent] = [Text("a"), begun(), Text("b"), events.Replace("new", "guard")]
    assert said(*answer) == [message("new"), call("")]
    assert said(*answer, Text("c")) == [message("new"), call(""), message("c")]


def test_a_replacement_of_nothing_is_text() -> None:
    assert said(Reasoning("hm"), events.Replace("new", "guard"), Text("er")) == [
        thought("hm"),
        message("newer"),
    ]


def test_warnings_routes_recoveries_and_blocks_are_no_items() -> None:
    others: list[AnyEvent] = [
        events.Warning("half_time", "half"),
        events.RouteChanged("spare", "spare-model", "refused"),
        events.Recovered(1),
    ]
    assert said(Text("a"), *others, Text("b"), events.Blocked("bad")) == [message("ab")]


def test_items_are_kept_as_json() -> None:
    items = said(Reasoning("hm"), Text("a", '{"content":[]}'), Refusal("no"), begun(), more("{}"))
    kept = encode_items(items)
    assert decode_items(kept) == decode_items(kept.decode()) == items
    assert msgspec.json.decode(kept) == [
        {"type": "reasoning", "status": "completed", "text": "hm"},
        {
            "type": "message",
            "status": "completed",
            "parts": [
                {"type": "text", "text": "a", "logprobs": ['{"content":[]}']},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {
            "type": "function_call",
            "status": "completed",
            "call_id": "call_a",
            "name": "f",
            "arguments": "{}",
        },
    ]


@pytest.mark.parametrize("data", ["", "{}", '[{"type":"other"}]', '[{"type":"message"}]'])
def test_other_json_is_refused(data: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_items(data)


answers = st.lists(answer_events | st.just(events.Retry("guard")), max_size=12)


@given(answers, st.sampled_from(Reason))
def test_items_say_what_the_journal_says(answer: list[AnyEvent], reason: Reason) -> None:
    items = said(*answer, reason=reason)
    texts = [part for item in items if isinstance(item, MessageItem) for part in item.parts]
    assert "".join(part.text for part in texts if isinstance(part, TextPart)) == visible_text(
        answer
    )
    assert all(item.status in (DONE, CUT) for item in items)
    assert decode_items(encode_items(items)) == items
    calls = [item.call_id for item in items if isinstance(item, FunctionCallItem)]
    assert len(set(calls)) == len(calls)


@given(answers, st.sampled_from(Reason))
def test_changes_open_and_close_everything_once_and_in_order(
    answer: list[AnyEvent], reason: Reason
) -> None:
    """Until an answer is begun anew, or its text replaced, which changes do not tell."""
    growth = AnswerGrowth()
    open: dict[int, list[str]] = {}
    closed: set[int] = set()
    answer = [event for event in answer if not isinstance(event, events.Retry | events.Replace)]
    for event in [STARTED, *answer, ended(reason)]:
        for change in growth.feed(event):
            key = id(change.item)
            match change:
                case ItemOpened(item):
                    assert item.index == len(open) + len(closed)
                    open[key] = []
                case PartOpened(_, part):
                    assert part.index == len(open[key])
                    open[key].append("")
                case Grew(_, part, delta):
                    assert part.index == len(open[key]) - 1
                    open[key][-1] += delta
                case PartClosed(item, part):
                    assert part.text == open[key][part.index]
                case ItemClosed(item):
                    assert [part.text for part in item.parts] == open.pop(key)
                    closed.add(key)
    assert not open
    assert growth.said is None
    assert len(closed) == len(growth.items)


@given(answers)
def test_what_may_be_appended_is_what_feeding_would_have_changed(answer: list[AnyEvent]) -> None:
    fed = AnswerGrowth()
    appended = AnswerGrowth()
    for event in answer:
        fed.feed(event)
        if isinstance(event, Text | Reasoning | Refusal) and appended.said is type(event):
            appended.pieces.append(event.delta)
        else:
            appended.feed(event)
    made = [(item.kind, item.status, [part.text for part in item.parts]) for item in fed.items]
    assert made == [
        (item.kind, item.status, [part.text for part in item.parts]) for item in appended.items
    ]
