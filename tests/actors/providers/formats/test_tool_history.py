"""Tests of pairing tool calls with their results, in all formats."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.formats.base import FormatSpec
from actors.providers.formats.tool_history import repaired
from actors.turn.chat_messages import read_messages
from actors.turn.messages import AssistantMessage, Message, ToolCall, ToolMessage
from actors.turn.model_call import ModelCall
from web import registry

FORMATS = {spec.name: spec.format for spec in registry.load(registry.FORMATS, FormatSpec)}
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("a", "b", "c")]


def called(*calls: tuple[object, str], arguments: object = "{}") -> dict[str, Any]:
    """Return an assistant's message with calls, each an id and a name."""
    made = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id, name in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": made}


def result(id: object, content: str, **more: object) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content, **more}


USER = {"role": "user", "content": "go"}
HISTORIES: dict[str, tuple[list[dict[str, Any]], dict[str, str]]] = {
    "used again": (
        [USER, called(("0", "a")), result("0", "A"), called(("0", "b")), result("0", "B")],
        {"A": "a", "B": "b"},
    ),
    "twice in one message": (
        [USER, called(("0", "a"), ("0", "b")), result("0", "A"), result("0", "B")],
        {"A": "a", "B": "b"},
    ),
    "numbers": (
        [USER, called((0, "a"), (1, "b")), result(1, "B"), result(0, "A")],
        {"A": "a", "B": "b"},
    ),
    "none at all": (
        [USER, called((None, "a"), ("", "b")), result(None, "A"), result("", "B")],
        {"A": "a", "B": "b"},
    ),
    "none, but names": (
        [
            *(USER, called((None, "a"), (None, "b"))),
            *(result(None, "B", name="b"), result(None, "A", name="a")),
        ],
        {"A": "a", "B": "b"},
    ),
    "lost by the call": (
        [USER, called((None, "a")), result("made up", "A")],
        {"A": "a"},
    ),
    "lost by the result": (
        [USER, called(("x", "c")), called(("0", "a"), ("1", "b")), result(None, "A")],
        {"A": "a"},
    ),
    "too long": (
        [USER, called(("i" * 200, "a")), result("i" * 200, "A")],
        {"A": "a"},
    ),
}
"""Histories, and the function of which each result is."""


def objects(value: Any) -> Iterator[Any]:
    """Yield all objects in a JSON value, in order."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from objects(inner)


def call_in(found: object) -> tuple[str, str] | None:
    """Return id and name of a call in any format."""
    match found:
        case (
            {"id": str(id), "function": {"name": str(name)}}
            | {"type": "function_call", "call_id": str(id), "name": str(name)}
            | {"type": "tool_use", "id": str(id), "name": str(name)}
            | {"functionCall": {"id": str(id), "name": str(name)}}
        ):
            return id, name
    return None


def result_in(found: object) -> tuple[str, str] | None:
    """Return id and content of a result in any format."""
    match found:
        case (
            {"role": "tool", "tool_call_id": str(id), "content": str(content)}
            | {"type": "function_call_output", "call_id": str(id), "output": str(content)}
            | {"type": "tool_result", "tool_use_id": str(id), "content": str(content)}
            | {"functionResponse": {"id": str(id), "response": {"output": str(content)}}}
        ):
            return id, content
    return None


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("format", FORMATS)
def test_results_belong_to_the_nearest_call(format: str, history: str) -> None:
    messages, expected = HISTORIES[history]
    call = ModelCall(
        messages=read_messages(messages), parameters={"tools": TOOLS}, upstream_model="m"
    )
    parts = FORMATS[format].build(call, None)
    body = msgspec.json.decode(parts.body)
    calls = list(filter(None, map(call_in, objects(body))))
    results = list(filter(None, map(result_in, objects(body))))
    names = dict(calls)
    assert {content: names[id] for id, content in results} == expected
    assert len(names) == len(calls)
    assert all(0 < len(id) <= 64 for id in names)
    assert parts.ignored == ()
    for found in objects(body):  # two formats repeat the name of the function
        match found:
            case {"functionResponse": {"id": id, "name": name}} | {
                "tool_call_id": id,
                "tool_name": name,
            }:
                assert names[id] == name


@pytest.mark.parametrize("arguments", ["", "  ", None, "\n"])
@pytest.mark.parametrize("format", FORMATS)
def test_blank_arguments_are_an_empty_object(format: str, arguments: object) -> None:
    messages = [USER, called(("x", "a"), arguments=arguments), result("x", "A")]
    call = ModelCall(messages=read_messages(messages), parameters={"tools": TOOLS})
    body = json.dumps(msgspec.json.decode(FORMATS[format].build(call, None).body))
    found = [
        f'"{name}": {value}' in body
        for name in ("arguments", "input", "args")
        for value in ("{}", '"{}"')
    ]
    assert any(found), body


def test_history_without_faults_is_unchanged() -> None:
    messages = read_messages([USER, called(("x", "a"), ("y", "b")), result("y", "B")])
    assert repaired(messages) == messages
    plain = read_messages([USER])
    assert repaired(plain) == plain


IDS: st.SearchStrategy[object] = st.none() | st.integers(0, 2) | st.sampled_from(["", "0", "1"])
MESSAGES = st.lists(
    st.one_of(
        st.lists(IDS, max_size=3).map(lambda ids: called(*((one, "f") for one in ids))),
        IDS.map(lambda one: result(one, "r")),
        st.just(USER),
    ),
    max_size=10,
)


def call_ids(messages: tuple[Message, ...]) -> list[str | None]:
    return [
        call.id
        for message in messages
        if isinstance(message, AssistantMessage)
        for call in message.tool_calls
        if isinstance(call, ToolCall)
    ]


@given(MESSAGES, MESSAGES)
def test_ids_are_unique_and_depend_only_on_what_precedes(
    first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    before = repaired(read_messages(first))
    whole = repaired(read_messages([*first, *second]))
    ids = call_ids(whole)
    assert len(set(ids)) == len(ids)
    assert all(ids)
    assert whole[: len(first)] == before, "another prefix misses the provider's prompt cache"
    known: set[str | None] = set()
    for message in whole:
        if isinstance(message, AssistantMessage):
            known.update(call_ids((message,)))
        elif isinstance(message, ToolMessage) and known:
            assert message.tool_call_id in known or message.tool_call_id in ("0", "1", "2", None)


def test_many_calls_of_one_id_take_linear_time() -> None:
    """A quadratic search through 20,000 calls would take minutes."""
    calls = called(*[("0", "f")] * 20_000)
    results = [result("0", "r")] * 10_000 + [result(None, "r", name="g")] * 5_000
    messages = repaired(read_messages([USER, calls, *results]))
    ids = [message.tool_call_id for message in messages if isinstance(message, ToolMessage)]
    assert len(set(ids)) == 15_000
