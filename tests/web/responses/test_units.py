"""Items become chat messages: calls and their results stand together, whatever was between them."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.responses.items import (
    Item,
    call_item,
    message_item,
    output_item,
    reasoning_item,
    text_part,
)
from web.responses.summary import seal
from web.responses.units import Message, Mismatch, Units


def user(text: str) -> Item:
    return message_item("user", [text_part("user", text)])


def model(*texts: str) -> Item:
    return message_item("assistant", [text_part("assistant", text) for text in texts])


def call(id: str) -> Item:
    return call_item(id, "f", "{}")


def output(id: str, text: str = "x") -> Item:
    return output_item(id, text)


def thought(text: str) -> Item:
    return reasoning_item([], [{"type": "reasoning_text", "text": text}])


def messages(*items: Item) -> list[Message]:
    units = Units()
    units.add(items)
    return [message for unit in units.finish() for message in unit.messages]


def calling(*ids: str, content: object = None, **fields: object) -> Message:
    calls = [
        {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id in ids
    ]
    return {"role": "assistant", "content": content, "tool_calls": calls, **fields}


def result(id: str, content: object = "x") -> Message:
    return {"role": "tool", "tool_call_id": id, "content": content}


def saying(role: str, content: object) -> Message:
    return {"role": role, "content": content}


def test_plain_messages() -> None:
    assert messages(user("Hi"), model("Hello"), user("Bye")) == [
        saying("user", "Hi"),
        saying("assistant", "Hello"),
        saying("user", "Bye"),
    ]


def test_parts() -> None:
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


def test_calls_of_one_answer_are_one_message() -> None:
    assert messages(
        user("Hi"), model("Let me see."), call("1"), call("2"), output("2"), output("1"), user("?")
    ) == [
        saying("user", "Hi"),
        calling("1", "2", content="Let me see."),
        result("2"),
        result("1"),
        saying("user", "?"),
    ]


def test_calls_one_after_the_other_are_a_message_each() -> None:
    found = messages(call("1"), output("1"), call("2"), output("2"), model("Done."))
    assert found == [
        calling("1"),
        result("1"),
        calling("2"),
        result("2"),
        saying("assistant", "Done."),
    ]


def test_what_stands_between_a_call_and_its_result_comes_after_them() -> None:
    found = messages(call("1"), user("Wait."), model("I do."), output("1"))
    assert found == [
        calling("1"),
        result("1"),
        saying("user", "Wait."),
        saying("assistant", "I do."),
    ]


def test_what_the_model_says_behind_a_call_is_of_the_same_message() -> None:
    found = messages(model("a"), call("1"), model("b", "c"), output("1"))
    parts = [{"type": "text", "text": text} for text in "abc"]
    assert found == [calling("1", content=parts), result("1")]


def test_results_may_have_parts() -> None:
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


def test_ids_of_calls_may_come_again() -> None:
    found = messages(call("1"), output("1", "a"), call("1"), output("1", "b"))
    assert found == [calling("1"), result("1", "a"), calling("1"), result("1", "b")]


def test_thoughts_go_with_what_follows_them() -> None:
    summed = reasoning_item([{"type": "summary_text", "text": "In short."}], [])
    found = messages(
        user("Hi"),
        thought("Hm."),
        summed,
        call("1"),
        thought("More."),
        call("2"),
        output("1"),
        output("2"),
        thought("So."),
        model("Yes."),
    )
    assert found == [
        saying("user", "Hi"),
        calling("1", "2", reasoning_content="Hm.\n\nIn short.\n\nMore."),
        result("1"),
        result("2"),
        saying("assistant", "Yes.") | {"reasoning_content": "So."},
    ]


def test_thoughts_that_go_nowhere_are_counted() -> None:
    units = Units()
    sealed = reasoning_item([], []) | {"encrypted_content": "x"}
    units.add([thought("a"), user("Hi"), sealed, thought("b"), model("Yes."), thought("c")])
    found = [message for unit in units.finish() for message in unit.messages]
    assert found == [
        saying("user", "Hi"),
        saying("assistant", "Yes.") | {"reasoning_content": "b"},
    ]
    assert units.sealed == 3


LONG = "t" * 2000


@pytest.mark.parametrize(
    ("said", "parts", "thought_of"),
    [
        ([model(*["a"] * 100)] * 2000, 200_000, 0),
        ([one for id in range(2000) for one in (thought(LONG), call(str(id)))], 0, 4_000_000),
    ],
    ids=["parts", "thoughts"],
)
def test_what_is_said_around_calls_is_put_together_once(
    said: list[Item], parts: int, thought_of: int
) -> None:
    ids = ["c", *(str(item["call_id"]) for item in said if item["type"] == "function_call")]
    items = [call("c"), *said, *map(output, ids)]
    begun = time.process_time()
    message, *_ = messages(*items)
    assert time.process_time() - begun < 0.4
    content = message["content"] or []
    assert isinstance(content, list)
    assert len(content) == parts
    assert str(message.get("reasoning_content")).count("t") == thought_of


def test_a_compaction_is_its_summary() -> None:
    item: Item = {"type": "compaction", "encrypted_content": seal("All is well.")}
    (message,) = messages(item)
    assert message["role"] == "user"
    assert str(message["content"]).endswith("\n\nAll is well.")


@pytest.mark.parametrize(
    ("items", "place", "words"),
    [
        ([user("Hi"), call("1")], 1, "no output for the function call '1'"),
        ([call("1"), call("2"), output("1")], 1, "no output for the function call '2'"),
        ([user("Hi"), output("1")], 1, "is not there"),
        ([call("1"), output("1"), output("1")], 2, "has an output already"),
        ([call("1"), user("Hi"), call("1")], 2, "two calls"),
    ],
)
def test_calls_and_results_that_do_not_go_together(
    items: Sequence[Item], place: int, words: str
) -> None:
    with pytest.raises(Mismatch, match=words) as caught:
        messages(*items)
    assert caught.value.place == place


def test_results_of_what_was_deleted_may_be_forgiven() -> None:
    units = Units()
    units.add([output("1"), user("Hi")], forgiving=True)
    assert [unit.messages for unit in units.finish()] == [[saying("user", "Hi")]]
    assert units.orphans == 1


@st.composite
def conversations(draw: st.DrawFn) -> list[Item]:
    """Items in which every call has its result, somewhere later."""
    items: list[Item] = []
    waiting: list[str] = []
    for number in range(draw(st.integers(0, 12))):
        match draw(st.sampled_from(["user", "model", "call", "output", "thought"])):
            case "user":
                items.append(user(f"u{number}"))
            case "model":
                items.append(model(f"m{number}"))
            case "thought":
                items.append(thought(f"t{number}"))
            case "call":
                waiting.append(f"c{number}")
                items.append(call(f"c{number}"))
            case _ if waiting:
                items.append(output(waiting.pop(draw(st.integers(0, len(waiting) - 1)))))
            case _:
                pass
    return [*items, *(output(id) for id in waiting)]


@given(conversations())
def test_whatever_the_order_results_follow_their_calls_and_nothing_is_lost(
    items: list[Item],
) -> None:
    units = Units()
    units.add(items)
    texts: list[str] = []
    for unit in units.finish():
        first, *rest = unit.messages
        called = first.get("tool_calls") or []
        assert isinstance(called, list)
        assert {c["id"] for c in called} == {message["tool_call_id"] for message in rest}
        assert all(message["role"] == "tool" for message in rest)
        content = first["content"]
        parts = [p["text"] for p in content] if isinstance(content, list) else [content]
        texts += [part for part in parts if isinstance(part, str)]
    said = [item["content"][0]["text"] for item in items if item["type"] == "message"]  # type: ignore[index]
    assert sorted(texts) == sorted(said)
    thoughts = sum(item["type"] == "reasoning" for item in items)
    heads = [unit.messages[0].get("reasoning_content") for unit in units.units]
    kept = sum(head.count("t") for head in heads if isinstance(head, str))
    assert kept + units.sealed == thoughts
