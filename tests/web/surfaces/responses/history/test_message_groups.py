"""Tests of message groups: calls and results are grouped, whatever items are between them."""

import gc
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.turn.chat_messages import write_messages
from actors.turn.messages import AssistantMessage, Reasoning, sealed
from web.dialects.openai_responses.items import call_item
from web.surfaces.responses.history.message_groups import MessageGroups, Mismatch
from web.surfaces.responses.input.compaction_summary import seal
from web.surfaces.responses.input.items import (
    Item,
    message_item,
    output_item,
    reasoning_item,
    text_part,
)

Message = dict[str, object]


def user(text: str) -> Item:
    return message_item("user", [text_part("user", text)])


def model(*texts: str) -> Item:
    return message_item("assistant", [text_part("assistant", text) for text in texts])


def call(id: str) -> Item:
    return call_item(id, "f", "{}")


def output(id: str, text: str = "x") -> Item:
    return output_item(id, text)


def reasoning(text: str) -> Item:
    return reasoning_item([], [{"type": "reasoning_text", "text": text}])


def messages(*items: Item) -> list[Message]:
    groups = MessageGroups()
    groups.add(items)
    return finished(groups)


def finished(groups: MessageGroups) -> list[Message]:
    return [message for group in groups.finish() for message in write_messages(group.messages)]


def assistant_calls(*ids: str, content: object = None, **fields: object) -> Message:
    calls = [
        {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id in ids
    ]
    return {"role": "assistant", "content": content, "tool_calls": calls, **fields}


def result(id: str, content: object = "x") -> Message:
    return {"role": "tool", "tool_call_id": id, "content": content}


def chat_message(role: str, content: object) -> Message:
    return {"role": role, "content": content}


def test_plain_messages_are_converted() -> None:
    assert messages(user("Hi"), model("Hello"), user("Bye")) == [
        chat_message("user", "Hi"),
        chat_message("assistant", "Hello"),
        chat_message("user", "Bye"),
    ]


def test_content_parts_are_converted() -> None:
    image: Item = {"type": "input_image", "image_url": "http://a"}
    parts: list[Item] = [
        text_part("user", "a"),
        image | {"detail": "auto"},
        image | {"detail": "low"},
        text_part("user", "b") | {"cache_control": {}},
    ]
    refusal: Item = {"type": "refusal", "refusal": "No."}
    found = messages(
        message_item("user", parts),
        message_item("user", [parts[3]]),
        model("a", "b"),
        message_item("assistant", [refusal]),
        message_item("assistant", []),
    )
    assert [message["content"] for message in found] == [
        [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "http://a"}},
            {"type": "image_url", "image_url": {"url": "http://a", "detail": "low"}},
            {"type": "text", "text": "b", "cache_control": {}},
        ],
        [{"type": "text", "text": "b", "cache_control": {}}],
        [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        [refusal],
        "",
    ]


def test_parallel_calls_are_one_message() -> None:
    assert messages(
        user("Hi"), model("Let me see."), call("1"), call("2"), output("2"), output("1"), user("?")
    ) == [
        chat_message("user", "Hi"),
        assistant_calls("1", "2", content="Let me see."),
        result("2"),
        result("1"),
        chat_message("user", "?"),
    ]


def test_sequential_calls_are_separate_messages() -> None:
    found = messages(call("1"), output("1"), call("2"), output("2"), model("Done."))
    assert found == [
        assistant_calls("1"),
        result("1"),
        assistant_calls("2"),
        result("2"),
        chat_message("assistant", "Done."),
    ]


def test_messages_between_call_and_result_move_behind_them() -> None:
    found = messages(call("1"), user("Wait."), model("I do."), output("1"))
    assert found == [
        assistant_calls("1"),
        result("1"),
        chat_message("user", "Wait."),
        chat_message("assistant", "I do."),
    ]


def test_text_after_a_call_joins_the_same_message() -> None:
    found = messages(model("a"), call("1"), model("b", "c"), output("1"))
    parts = [{"type": "text", "text": text} for text in "abc"]
    assert found == [assistant_calls("1", content=parts), result("1")]


def test_results_may_have_content_parts() -> None:
    parts: list[Item] = [
        text_part("user", "a"),
        {"type": "input_image", "image_url": "http://a", "detail": "auto"},
    ]
    found = messages(call("1"), output_item("1", parts), call("2"), output_item("2", parts[:1]))
    assert found[1]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "http://a"}},
    ]
    assert found[3]["content"] == "a"


def test_call_ids_may_be_reused_after_their_result() -> None:
    found = messages(call("1"), output("1", "a"), call("1"), output("1", "b"))
    assert found == [assistant_calls("1"), result("1", "a"), assistant_calls("1"), result("1", "b")]


def test_reasoning_joins_the_following_message() -> None:
    summed = reasoning_item([{"type": "summary_text", "text": "In short."}], [])
    found = messages(
        user("Hi"),
        reasoning("Hm."),
        summed,
        call("1"),
        reasoning("More."),
        call("2"),
        output("1"),
        output("2"),
        reasoning("So."),
        model("Yes."),
    )
    assert found == [
        chat_message("user", "Hi"),
        assistant_calls("1", "2", reasoning_content="Hm.\n\nIn short.\n\nMore."),
        result("1"),
        result("2"),
        chat_message("assistant", "Yes.") | {"reasoning_content": "So."},
    ]


def test_reasoning_without_a_following_message_is_dropped_and_counted() -> None:
    groups = MessageGroups()
    empty = reasoning_item([], [])
    groups.add([reasoning("a"), user("Hi"), empty, reasoning("b"), model("Yes."), reasoning("c")])
    found = finished(groups)
    assert found == [
        chat_message("user", "Hi"),
        chat_message("assistant", "Yes.") | {"reasoning_content": "b"},
    ]
    assert groups.dropped_reasoning == 3


def test_encrypted_reasoning_stays_with_its_message_or_is_an_item_of_this_api_alone() -> None:
    groups = MessageGroups()
    opaque, sealed_item = (
        reasoning_item([], []) | {"encrypted_content": text}
        for text in ("x", sealed("gemini", '{"thoughtSignature":"y"}'))
    )
    groups.add([opaque, user("Hi"), opaque, model("Yes."), sealed_item, opaque, user("Why?")])
    _, answer, _ = groups.finish()
    [message] = answer.messages
    assert isinstance(message, AssistantMessage)
    assert message.reasoning == (
        Reasoning("", "openai-responses", {"encrypted_content": "x"}),
        Reasoning("", "gemini", {"thoughtSignature": "y"}, after=1),
    )
    assert (answer.places, groups.native, groups.dropped_reasoning) == ((2, 3, 4), [0, 5], 0)


LONG = "t" * 2000


def many_parts(count: int) -> list[Item]:
    return [model(*["a"] * 100)] * count


def much_reasoning(count: int) -> list[Item]:
    return [one for id in range(count) for one in (reasoning(LONG), call(str(id)))]


def joined(between: list[Item]) -> tuple[Message, float]:
    """Return the first message, and the CPU seconds that the fastest of three joins took."""
    ids = ["c", *(str(item["call_id"]) for item in between if item["type"] == "function_call")]
    items = [call("c"), *between, *map(output, ids)]
    took_s = []
    gc.disable()  # a collection takes as long as all objects of the process are many
    for _ in range(3):
        begun = time.process_time()
        message, *_ = messages(*items)
        took_s.append(time.process_time() - begun)
    gc.enable()
    return message, min(took_s)


@pytest.mark.parametrize(
    ("between", "parts", "reasoning_size"),
    [(many_parts, 200_000, 0), (much_reasoning, 0, 4_000_000)],
    ids=["parts", "reasoning"],
)
def test_text_around_calls_is_joined_in_linear_time(
    between: Callable[[int], list[Item]], parts: int, reasoning_size: int
) -> None:
    _, quarter_s = joined(between(500))
    message, took_s = joined(between(2000))
    assert took_s < 10 * quarter_s
    content = message["content"] or []
    assert isinstance(content, list)
    assert len(content) == parts
    assert str(message.get("reasoning_content")).count("t") == reasoning_size


def test_compaction_becomes_its_summary() -> None:
    item: Item = {"type": "compaction", "encrypted_content": seal("All is well.")}
    (message,) = messages(item)
    assert message["role"] == "user"
    assert str(message["content"]).endswith("\n\nAll is well.")


@pytest.mark.parametrize(
    ("items", "place", "words"),
    [
        ([user("Hi"), call("1")], 1, "no output for the function call '1'"),
        ([call("1"), call("2"), output("1")], 1, "no output for the function call '2'"),
        ([user("Hi"), output("1")], 1, "is missing"),
        ([call("1"), output("1"), output("1")], 2, "already has an output"),
        ([call("1"), user("Hi"), call("1")], 2, "two function calls"),
    ],
)
def test_mismatched_calls_and_results_are_rejected(
    items: Sequence[Item], place: int, words: str
) -> None:
    with pytest.raises(Mismatch, match=words) as caught:
        messages(*items)
    assert caught.value.place == place


def test_forgiving_drops_results_without_calls() -> None:
    groups = MessageGroups()
    groups.add([output("1"), user("Hi")], forgiving=True)
    assert finished(groups) == [chat_message("user", "Hi")]
    assert groups.orphans == [0]


@st.composite
def conversations(draw: st.DrawFn) -> list[Item]:
    """Generate items in which every call is followed by its result, directly or later."""
    items: list[Item] = []
    waiting: list[str] = []
    for number in range(draw(st.integers(0, 12))):
        match draw(st.sampled_from(["user", "model", "call", "output", "thought"])):
            case "user":
                items.append(user(f"u{number}"))
            case "model":
                items.append(model(f"m{number}"))
            case "thought":
                items.append(reasoning(f"t{number}"))
            case "call":
                waiting.append(f"c{number}")
                items.append(call(f"c{number}"))
            case _ if waiting:
                items.append(output(waiting.pop(draw(st.integers(0, len(waiting) - 1)))))
            case _:
                pass
    return [*items, *(output(id) for id in waiting)]


@given(conversations())
def test_results_follow_their_calls_in_any_order(
    items: list[Item],
) -> None:
    groups = MessageGroups()
    groups.add(items)
    texts: list[str] = []
    heads: list[object] = []
    for group in groups.finish():
        first, *rest = write_messages(group.messages)
        heads.append(first.get("reasoning_content"))
        called = first.get("tool_calls") or []
        assert isinstance(called, list)
        assert {c["id"] for c in called} == {message["tool_call_id"] for message in rest}
        assert all(message["role"] == "tool" for message in rest)
        content = first["content"]
        parts = [p["text"] for p in content] if isinstance(content, list) else [content]
        texts += [part for part in parts if isinstance(part, str)]
    expected = [item["content"][0]["text"] for item in items if item["type"] == "message"]  # type: ignore[index]
    assert sorted(texts) == sorted(expected)
    thoughts = sum(item["type"] == "reasoning" for item in items)
    kept = sum(head.count("t") for head in heads if isinstance(head, str))
    assert kept + groups.dropped_reasoning == thoughts
