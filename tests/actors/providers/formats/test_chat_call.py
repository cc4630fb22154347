"""Tests of reading a chat call leniently."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.formats.chat_call import (
    arguments_of,
    data_url,
    is_default_value,
    object_of,
    parts_of,
    reasoning_of,
    stop_words,
    text_of,
    tool_calls_of,
    tool_names,
    unknown_keys,
    with_effort,
)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["role", "content", "type", "text", "refusal", "tool_calls", "id",
                         "function", "name", "arguments", "image_url", "url"]),
        inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


def test_parts_have_paths() -> None:
    text = {"type": "text", "text": "a"}
    assert list(parts_of({"content": "a"}, "m")) == [("m.content", text)]
    assert list(parts_of({"content": [text, 5]}, "m")) == [
        ("m.content[0]", text),
        ("m.content[1]", {}),
    ]
    assert list(parts_of({"content": None, "refusal": "no"}, "m")) == [
        ("m.refusal", {"type": "text", "text": "no"})
    ]
    assert list(parts_of({"content": 5}, "m")) == [("m.content", {})]
    assert list(parts_of({}, "m")) == []


def test_texts() -> None:
    assert text_of({"type": "text", "text": ""}) == ""
    assert text_of({"type": "refusal", "refusal": "no"}) == "no"
    assert text_of({"type": "image_url", "text": "x"}) is None
    assert reasoning_of({"reasoning_content": "", "reasoning": "hm"}) == "hm"
    assert reasoning_of({"reasoning": {}}) is None


@pytest.mark.parametrize(
    ("given", "effort", "left_out"),
    [
        ({"reasoning": {"effort": "high"}}, "high", []),
        ({"reasoning": {"effort": "high", "summary": None}}, "high", []),
        ({"reasoning": {"effort": "high", "max_tokens": 9}}, "high", ["reasoning.max_tokens"]),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": None}, "low", []),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "low"}, "low", []),
        (
            {"reasoning": {"effort": "low"}, "reasoning_effort": "high"},
            "high",
            ["reasoning.effort"],
        ),
        ({"reasoning": {"enabled": True}}, None, ["reasoning.enabled"]),
        ({"reasoning": "high"}, None, ["reasoning"]),
        ({"reasoning": None}, None, []),
        ({"reasoning": {}}, None, []),
        ({"reasoning_effort": "low"}, "low", []),
    ],
)
def test_effort_has_two_names(given: dict[str, Any], effort: str, left_out: list[str]) -> None:
    lost: list[str] = []
    said = with_effort({"top_p": 1, **given}, lost)
    assert "reasoning" not in said
    assert (said["top_p"], said.get("reasoning_effort"), lost) == (1, effort, left_out)


def test_names_of_tools_by_their_calls() -> None:
    call = {"id": "c1", "function": {"name": "f"}}
    said: dict[str, Any] = {"tool_calls": [call, 5, {"id": "c2"}]}
    messages: list[dict[str, Any]] = [said, {"tool_calls": None}, {}]
    assert tool_names(messages) == {"c1": "f"}
    assert list(tool_calls_of(said, "m")) == [
        ("m.tool_calls[0]", call),
        ("m.tool_calls[1]", {}),
        ("m.tool_calls[2]", {"id": "c2"}),
    ]


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ('{"a":1}', {"a": 1}),
        ("", {}),
        (None, {}),
        ("[1]", None),
        ('{"a":', None),
        ('{"a":1e999}', None),
        ("\ud800", None),
        ("[" * 100_000, None),
        ({"a": 1}, {"a": 1}),
        ([], None),
    ],
)
def test_arguments(arguments: Any, value: Any) -> None:
    assert arguments_of({"arguments": arguments}) == value


def test_objects() -> None:
    assert object_of('{"a":[1]}') == {"a": [1]}
    assert object_of("It rains.") is None
    assert object_of('"x"') is None


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("data:image/png;base64,aGk=", ("image/png", "aGk=")),
        ("DATA:Image/PNG;charset=x;BASE64,aGk=", ("image/png", "aGk=")),
        ("data:image/svg+xml,%3Csvg/%3E", ("image/svg+xml", base64.b64encode(b"<svg/>").decode())),
        ("data:,hi", ("text/plain", "aGk=")),
        ("data:image/png;base64", None),
        ("https://example.com/a,b", None),
        ("", None),
    ],
)
def test_data_urls(url: str, found: tuple[str, str] | None) -> None:
    assert data_url(url) == found


def test_parameters_that_request_nothing() -> None:
    nothing: dict[str, Any] = {"n": 1, "stop": None, "logit_bias": {}, "store": True}
    assert all(is_default_value(name, value) for name, value in nothing.items())
    something: dict[str, Any] = {"n": 2, "temperature": 0, "parallel_tool_calls": False, "user": ""}
    assert not any(is_default_value(name, value) for name, value in something.items())
    assert stop_words("a") == ["a"]
    assert stop_words(["a", "b"]) == ["a", "b"]


def test_odd_keys() -> None:
    message = {"role": "user", "content": "", "name": "x", "reasoning": "hm", "audio": None, "z": 1}
    assert unknown_keys(message, "m") == ["m.name", "m.z"]
    assert unknown_keys({"role": "tool", "name": "x"}, "m") == []


@given(st.dictionaries(st.sampled_from(["role", "content", "refusal", "tool_calls"]), ANYTHING))
def test_arbitrary_messages_do_not_crash(message: dict[str, Any]) -> None:
    assert all(path.startswith("m.") for path, _ in parts_of(message, "m"))
    assert all(path.startswith("m.tool_calls[") for path, _ in tool_calls_of(message, "m"))
    assert isinstance(tool_names([message]), dict)
