"""Tests of the helpers for converting messages."""

import base64
from typing import Any

import pytest
from msgspec import Raw

from actors.providers.formats.conversion import (
    calls_of,
    data_url,
    object_of,
    parts_of,
    tool_names,
    unknown_fields,
    unsigned_reasoning,
)
from actors.turn.messages import (
    AssistantMessage,
    CustomToolCall,
    OtherPart,
    Reasoning,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)


def test_parts_have_paths() -> None:
    text, other = TextPart("a"), OtherPart({})
    assert list(parts_of(UserMessage("a"), "m")) == [("m.content", text)]
    assert list(parts_of(UserMessage((text, other)), "m")) == [
        ("m.content[0]", text),
        ("m.content[1]", other),
    ]
    assert list(parts_of(AssistantMessage(content="a", refusal="no"), "m")) == [
        ("m.content", text),
        ("m.refusal", RefusalPart("no")),
    ]
    assert list(parts_of(AssistantMessage(content="", refusal=""), "m")) == []
    assert list(parts_of(UserMessage(None), "m")) == []


def test_names_of_tools_by_their_calls() -> None:
    calls = (ToolCall("c1", "f", ""), CustomToolCall("c2", "g", ""), ToolCall(None, "h", ""))
    message = AssistantMessage(tool_calls=calls)
    assert tool_names([message, UserMessage("a")]) == {"c1": "f"}
    left_out: list[str] = []
    found = list(calls_of(message, "m", left_out))
    assert found == [(calls[0], Raw(b"{}")), (calls[2], Raw(b"{}"))]
    assert left_out == ["m.tool_calls[1]"]


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"a": 1.0}', '{"a": 1.0}'),
        ("", "{}"),
        (" \n", "{}"),
        ("[1]", None),
        ('{"a":', None),
        ('{"a":1e999}', None),
        ("\ud800", None),
        ("[" * 100_000, None),
    ],
)
def test_arguments(arguments: str, sent: str | None) -> None:
    left_out: list[str] = []
    message = AssistantMessage(tool_calls=(ToolCall("c", "f", arguments),))
    [(_, found)] = calls_of(message, "m", left_out)
    assert bytes(found).decode() == (sent or "{}")
    assert left_out == ([] if sent else ["m.tool_calls[0].function.arguments"])


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


def test_unknown_fields() -> None:
    extras: dict[str, Any] = {"name": "x", "reasoning": "hm", "audio": None, "z": 1}
    assert unknown_fields(UserMessage("", extras), "m") == ["m.name", "m.reasoning", "m.z"]
    assert unknown_fields(UserMessage("", extras), "m", "reasoning") == ["m.name", "m.z"]
    result = ToolMessage(content="", tool_call_id="c", name="f", is_error=True)
    assert unknown_fields(result, "m") == ["m.is_error"]
    plain = AssistantMessage(reasoning=(Reasoning("hm"),))
    assert unknown_fields(plain, "m") == []
    assert unsigned_reasoning(plain, "m") == ["m.reasoning_content"]
    signed = AssistantMessage(reasoning=(Reasoning("hm", "anthropic", {"signature": "s"}),))
    assert unknown_fields(signed, "m") == []
    assert unsigned_reasoning(signed, "m") == []
