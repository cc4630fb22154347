"""Tests of the output items of an answer: start, end and final status."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.answer.builder import AnswerBuilder, fold
from actors.answer.changes import Grew, ItemClosed, ItemOpened, PartClosed, PartOpened
from actors.answer.codec import decode_items, encode_items
from actors.answer.items import (
    CustomCallItem,
    FunctionCallItem,
    Item,
    ItemStatus,
    MessageItem,
    MessagePart,
    NativeItem,
    ReasoningItem,
    RefusalPart,
    TextPart,
    items_of,
)
from actors.turn import events
from actors.turn.events import AnyEvent, Reasoning, Refusal, Text, ToolCall, ToolCallDelta
from actors.turn.outcome import Reason
from tests.support.sample_events import STARTED, answer_events, ended

DONE, CUT, OPEN = ItemStatus.COMPLETED, ItemStatus.INCOMPLETE, ItemStatus.IN_PROGRESS
WHOLE = [Reason.STOP, Reason.TOOL_CALLS, Reason.PAUSE_TURN]


def message(*parts: MessagePart | str, status: ItemStatus = DONE) -> MessageItem:
    made = tuple(TextPart(part) if isinstance(part, str) else part for part in parts)
    return MessageItem(status=status, parts=made)


def reasoning(text: str, status: ItemStatus = DONE) -> ReasoningItem:
    return ReasoningItem(status=status, text=text)


def call(
    arguments: str, status: ItemStatus = DONE, *, id: str = "call_a", name: str = "f"
) -> FunctionCallItem:
    return FunctionCallItem(status=status, call_id=id, name=name, arguments=arguments)


def text_of(answer: Iterable[AnyEvent]) -> str:
    """Return the visible text by a model of its own."""
    text = ""
    for event in answer:
        match event:
            case Text(delta):
                text += delta
            case events.Replace(replacement):
                text = replacement
            case events.Retry():
                text = ""
            case _:
                pass
    return text


def items_after(*answer: AnyEvent, reason: Reason = Reason.STOP) -> list[Item]:
    return items_of(fold([STARTED, *answer, ended(reason)]))


def items_during(*answer: AnyEvent) -> list[Item]:
    return items_of(fold([STARTED, *answer]))


def call_start(index: int = 0, id: str | None = "call_a", name: str | None = "f") -> ToolCallDelta:
    return ToolCallDelta(index, id, name, "")


def call_more(arguments: str, index: int = 0) -> ToolCallDelta:
    return ToolCallDelta(index, None, None, arguments)


def test_empty_answer_has_no_items() -> None:
    assert items_after() == []


def test_text_pieces_form_one_message() -> None:
    assert items_after(Text("Hel"), Text("lo")) == [message("Hello")]


@pytest.mark.parametrize("empty", [Text(""), Reasoning(""), Refusal("")])
def test_empty_piece_opens_no_item(empty: AnyEvent) -> None:
    assert items_after(empty) == []
    assert items_after(Text("a"), empty, Text("b")) == [message("ab")]


def test_logprobs_without_text_open_a_text_part() -> None:
    given = '{"content":[]}'
    assert items_after(Text("", given)) == [message(TextPart("", (given,)))]


def test_logprobs_are_kept_in_order() -> None:
    first, second = '{"content":[1]}', '{"content":[2]}'
    assert items_after(Text("a", first), Text("b"), Text("c", second)) == [
        message(TextPart("abc", (first, second)))
    ]


def test_reasoning_and_messages_alternate() -> None:
    assert items_after(Reasoning("hm"), Reasoning("m"), Text("a"), Reasoning("oh"), Text("b")) == [
        reasoning("hmm"),
        message("a"),
        reasoning("oh"),
        message("b"),
    ]


def test_text_and_refusal_are_parts_of_one_message() -> None:
    assert items_after(Text("a"), Refusal("n"), Refusal("o"), Text("b")) == [
        message("a", RefusalPart("no"), "b")
    ]


def test_text_before_and_after_a_call_makes_two_messages() -> None:
    assert items_after(
        Text("a"), call_start(), call_more("{}"), Text("b"), ToolCall(0, "call_a", "f", "{}")
    ) == [
        message("a"),
        call("{}"),
        message("b"),
    ]


def test_more_arguments_do_not_end_a_later_message() -> None:
    assert items_after(call_start(), Text("a"), call_more("{"), Text("b"), call_more("}")) == [
        call("{}"),
        message("ab"),
    ]


def test_parallel_calls_grow_independently() -> None:
    assert items_after(
        call_start(0, "a", "f"),
        call_start(1, "b", "g"),
        call_more("1", 1),
        call_more("0"),
        call_more("1", 1),
    ) == [
        call("0", id="a", name="f"),
        call("11", id="b", name="g"),
    ]


def test_complete_call_without_pieces_is_a_call() -> None:
    assert items_after(ToolCall(0, "call_a", "f", '{"a":1}')) == [call('{"a":1}')]


def test_complete_call_adds_missing_arguments() -> None:
    assert items_after(call_start(), call_more('{"a"'), ToolCall(0, "call_a", "f", '{"a":1}')) == [
        call('{"a":1}')
    ]


def test_shown_arguments_are_not_changed_by_the_complete_call() -> None:
    assert items_after(call_start(), call_more("{1"), ToolCall(0, "call_a", "f", "{2}")) == [
        call("{1")
    ]


def test_call_becomes_an_item_once_it_has_a_name() -> None:
    unnamed: list[AnyEvent] = [call_start(0, None, None), call_more('{"a')]
    assert items_during(*unnamed) == []
    named: list[AnyEvent] = [*unnamed, Text("t"), call_start(), call_more('":1}')]
    assert items_during(*named) == [message("t"), call('{"a":1}', OPEN)]


def test_unnamed_call_is_shown_at_the_end_if_it_has_arguments() -> None:
    assert items_after(
        call_start(0, "call_a", None), call_more("{"), reason=Reason.UPSTREAM_TRUNCATED
    ) == [call("{", CUT, name="")]
    assert items_after(call_start(0, "call_a", None), reason=Reason.UPSTREAM_TRUNCATED) == []
    assert items_after(
        Text("t"), call_start(0, "call_a", None), call_more("{"), reason=Reason.LENGTH
    ) == [
        message("t", status=CUT),
        call("{", CUT, name=""),
    ]


@pytest.mark.parametrize("id", [None, ""])
def test_call_without_an_id_gets_one(id: str | None) -> None:
    items = items_after(call_start(0, id, "f"), call_start(1, id, "g"))
    assert items == [call("", id="call_1_0"), call("", id="call_1_1", name="g")]


def test_duplicate_call_id_is_replaced() -> None:
    items = items_after(call_start(0, "same"), call_start(1, "same"))
    assert items == [call("", id="same"), call("", id="call_1_1")]


def test_call_after_a_complete_one_with_the_same_index_is_new() -> None:
    """In a turn of several steps each step counts its calls from 0."""
    assert items_after(
        call_start(),
        ToolCall(0, "call_a", "f", "{}"),
        call_start(0, "call_b", "g"),
        call_more("[]"),
    ) == [
        call("{}"),
        call("[]", id="call_b", name="g"),
    ]
    assert items_after(ToolCall(0, "call_a", "f", "1"), ToolCall(0, "call_b", "f", "2")) == [
        call("1"),
        call("2", id="call_b"),
    ]


@pytest.mark.parametrize("reason", Reason)
def test_open_items_are_completed_only_if_the_answer_is(reason: Reason) -> None:
    left = DONE if reason in WHOLE else CUT
    assert items_after(call_start(), call_more("{}"), Text("a"), reason=reason) == [
        call("{}", left),
        message("a", status=left),
    ]
    assert items_after(Reasoning("hm"), reason=reason) == [reasoning("hm", left)]


@pytest.mark.parametrize("reason", [Reason.LENGTH, Reason.CONTENT_FILTER, Reason.SIZE_LIMIT])
def test_cut_call_is_incomplete_although_reported_complete(reason: Reason) -> None:
    """Every finish reports all calls as complete."""
    calls: list[AnyEvent] = [
        call_start(0, "a"),
        call_start(1, "b"),
        call_more("{}"),
        call_more('{"x', 1),
    ]
    whole: list[AnyEvent] = [ToolCall(0, "a", "f", "{}"), ToolCall(1, "b", "f", '{"x')]
    assert items_after(*calls, *whole, reason=reason) == [
        call("{}", id="a"),
        call('{"x', CUT, id="b"),
    ]
    assert items_after(*calls, *whole) == [call("{}", id="a"), call('{"x', id="b")]


def test_complete_call_is_closed_by_the_next_event() -> None:
    whole: list[AnyEvent] = [call_start(), call_more('{"x'), ToolCall(0, "call_a", "f", '{"x')]
    assert items_during(*whole) == [call('{"x', OPEN)]
    follows = items_after(*whole, Text("a"), reason=Reason.LENGTH)
    assert follows == [call('{"x'), message("a", status=CUT)]


def test_complete_call_is_closed_by_text_of_an_open_message() -> None:
    whole: list[AnyEvent] = [
        call_start(),
        call_more('{"x'),
        Text("a"),
        ToolCall(0, "call_a", "f", '{"x'),
    ]
    assert items_after(*whole, Text("b"), reason=Reason.LENGTH) == [
        call('{"x'),
        message("ab", status=CUT),
    ]


def test_open_item_of_a_live_turn_is_in_progress() -> None:
    assert items_during(Reasoning("hm"), Text("a")) == [reasoning("hm"), message("a", status=OPEN)]


def test_retry_discards_all_earlier_items() -> None:
    first: list[AnyEvent] = [
        Reasoning("hm"),
        Text("bad"),
        call_start(),
        call_more("{"),
        call_start(1, None, None),
    ]
    assert items_after(*first, events.Retry("guard")) == []
    assert items_after(
        *first, events.Retry("guard"), Text("good"), call_start(), call_more("1")
    ) == [
        message("good"),
        call("1"),
    ]


def test_retry_restarts_the_numbering_of_generated_call_ids() -> None:
    assert items_after(call_start(0, None), events.Retry("guard"), call_start(0, None)) == [
        call("", id="call_1_0")
    ]


def test_state_ends_a_piece_of_reasoning() -> None:
    state = events.ReasoningState("anthropic", '{"signature":"s"}')
    signed = ReasoningItem(status=DONE, text="hm", api="anthropic", state='{"signature":"s"}')
    assert items_after(Reasoning("h"), Reasoning("m"), state, Reasoning("oh"), Text("a")) == [
        signed,
        reasoning("oh"),
        message("a"),
    ]
    assert items_after(state, reason=Reason.LENGTH) == [
        ReasoningItem(status=DONE, text="", api="anthropic", state='{"signature":"s"}')
    ]


def test_citations_belong_to_the_open_text() -> None:
    cite = events.Annotation('{"type":"url_citation"}')
    cited = TextPart("ab", annotations=('{"type":"url_citation"}',))
    assert items_after(Text("a"), cite, Text("b")) == [message(cited)]


def test_message_of_another_phase_is_another_item() -> None:
    begun: list[AnyEvent] = [events.MessagePhase("commentary"), Text("a"), Text("b")]
    first = MessageItem(status=DONE, parts=(TextPart("ab"),), phase="commentary")
    assert items_after(*begun, events.MessagePhase("final_answer"), Text("c"), Text("d")) == [
        first,
        MessageItem(status=DONE, parts=(TextPart("cd"),), phase="final_answer"),
    ]
    assert items_after(*begun, Reasoning("hm"), Text("c")) == [first, reasoning("hm"), message("c")]
    assert items_after(*begun, events.Retry("guard"), Text("c")) == [message("c")]


def test_native_item_is_complete_at_once() -> None:
    found = events.NativeItem("openai-responses", '{"type":"web_search_call"}')
    item = NativeItem(status=DONE, api=found.api, item=found.item)
    answer: list[AnyEvent] = [Text("a"), found, Text("b")]
    assert items_after(*answer, reason=Reason.LENGTH) == [
        message("a"),
        item,
        message("b", status=CUT),
    ]
    replaced = [message("new"), item]
    assert items_after(*answer, events.Replace("new", "guard")) == replaced


def test_custom_call_has_text_as_input() -> None:
    extras = '{"namespace":"n"}'
    piece = ToolCallDelta(0, "call_a", "patch", "*** ", "custom", extras)
    whole = ToolCall(0, "call_a", "patch", "*** End", "custom", extras)
    for reason, status in ((Reason.TOOL_CALLS, DONE), (Reason.LENGTH, CUT)):
        assert items_after(piece, call_more("End"), whole, reason=reason) == [
            CustomCallItem(
                status=status, call_id="call_a", name="patch", input="*** End", extras=extras
            )
        ]


def test_replacement_has_no_logprobs() -> None:
    assert items_after(Text("a", '{"content":[]}'), events.Replace("new", "guard")) == [
        message("new")
    ]


def test_replacement_updates_item_and_part_indexes() -> None:
    builder = AnswerBuilder()
    answer: list[AnyEvent] = [
        Text("a"),
        call_start(),
        Text("b"),
        call_start(1),
        Text("c"),
        Refusal("no"),
    ]
    for event in [STARTED, *answer, events.Replace("new", "guard")]:
        builder.feed(event)
    assert [item.index for item in builder.items] == [0, 1, 2, 3]
    assert [[part.index for part in item.parts] for item in builder.items] == [[0]] * 4


def test_replacement_takes_the_position_of_the_first_text() -> None:
    answer: list[AnyEvent] = [
        Reasoning("hm"),
        Text("a"),
        call_start(),
        Text("b"),
        Refusal("no"),
        Text("c"),
    ]
    replaced: list[AnyEvent] = [*answer, events.Replace("new", "guard")]
    assert items_after(*replaced) == [
        reasoning("hm"),
        message("new"),
        call(""),
        message(RefusalPart("no")),
    ]
    assert items_after(*replaced, Text("d")) == [
        reasoning("hm"),
        message("new"),
        call(""),
        message(RefusalPart("no"), "d"),
    ]


def test_text_after_a_replaced_message_opens_a_new_message() -> None:
    answer: list[AnyEvent] = [Text("a"), call_start(), Text("b"), events.Replace("new", "guard")]
    assert items_after(*answer) == [message("new"), call("")]
    assert items_after(*answer, Text("c")) == [message("new"), call(""), message("c")]


def test_replacement_without_earlier_text_adds_text() -> None:
    assert items_after(Reasoning("hm"), events.Replace("new", "guard"), Text("er")) == [
        reasoning("hm"),
        message("newer"),
    ]


def test_warnings_routes_recoveries_and_blocks_add_no_items() -> None:
    others: list[AnyEvent] = [
        events.Warning("half_time", "half"),
        events.RouteChanged("spare", "spare-model", "refused"),
        events.Recovered(1),
    ]
    assert items_after(Text("a"), *others, Text("b"), events.Blocked("bad")) == [message("ab")]


def test_items_are_encoded_as_json() -> None:
    items = items_after(
        Reasoning("hm"), Text("a", '{"content":[]}'), Refusal("no"), call_start(), call_more("{}")
    )
    kept = encode_items(items)
    assert kept is not None
    assert decode_items(kept) == items
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


answers = st.lists(answer_events | st.just(events.Retry("guard")), max_size=12)


@given(answers, st.sampled_from(Reason))
def test_items_contain_the_text_of_the_journal(answer: list[AnyEvent], reason: Reason) -> None:
    items = items_after(*answer, reason=reason)
    texts = [part for item in items if isinstance(item, MessageItem) for part in item.parts]
    assert "".join(part.text for part in texts if isinstance(part, TextPart)) == text_of(answer)
    assert all(item.status in (DONE, CUT) for item in items)
    assert decode_items(encode_items(items) or "[]") == items
    calls = [item.call_id for item in items if isinstance(item, FunctionCallItem)]
    assert len(set(calls)) == len(calls)


@given(answers, st.sampled_from(Reason))
def test_changes_open_and_close_everything_once_and_in_order(
    answer: list[AnyEvent], reason: Reason
) -> None:
    """Retry and replace are excluded: they are not reported as changes."""
    builder = AnswerBuilder()
    open: dict[int, list[str]] = {}
    closed: set[int] = set()
    answer = [event for event in answer if not isinstance(event, events.Retry | events.Replace)]
    for event in [STARTED, *answer, ended(reason)]:
        for change in builder.feed(event):
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
    assert builder.delta_event is None
    assert len(closed) == len(builder.items)


@given(answers)
def test_appending_deltas_equals_feeding_events(answer: list[AnyEvent]) -> None:
    fed = AnswerBuilder()
    appended = AnswerBuilder()
    for event in answer:
        fed.feed(event)
        if isinstance(event, Text | Reasoning | Refusal) and appended.delta_event is type(event):
            appended.pieces.append(event.delta)
        else:
            appended.feed(event)
    made = [(item.kind, item.status, [part.text for part in item.parts]) for item in fed.items]
    assert made == [
        (item.kind, item.status, [part.text for part in item.parts]) for item in appended.items
    ]
