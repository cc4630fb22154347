"""Tests of schemas of structured outputs; Anthropic's SDK is the reference."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from anthropic import transform_schema
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.formats.anthropic.decoder import ANTHROPIC
from actors.providers.formats.anthropic.schema import accepted_schema
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall

ITEM = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Answer",
    "properties": {
        "a": {"type": "string", "minLength": 2, "maxLength": 9, "description": "A word."},
        "b": {"type": "array", "maxItems": 3, "minItems": 2, "items": ITEM},
        "c": {"oneOf": [{"type": "string", "format": "uuid"}, {"type": "null"}]},
        "d": {"$ref": "#/$defs/D"},
        "e": {"enum": ["x", "y"]},
        "f": {"type": "string", "format": "binary", "pattern": "a+"},
        "g": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    "required": ["a"],
    "additionalProperties": True,
    "$defs": {"D": {"type": "object", "properties": {}, "minProperties": 1}},
}
FORBIDDEN = {
    *("minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("multipleOf", "maxItems", "uniqueItems", "minProperties", "maxProperties", "pattern"),
    *("oneOf", "not", "if", "then", "else", "patternProperties", "default"),
}


def faults(schema: Any, path: str = "$") -> Iterator[str]:
    """Yield the paths in a schema that the API refuses."""
    if not isinstance(schema, dict):
        return
    kinds = schema.get("type")
    is_object = "object" in (kinds if isinstance(kinds, list) else [kinds])
    if is_object and schema.get("additionalProperties") is not False:
        yield f"{path}.additionalProperties"
    yield from (f"{path}.{name}" for name in FORBIDDEN & schema.keys())
    for name in ("properties", "$defs"):
        for key, inner in (schema.get(name) or {}).items():
            yield from faults(inner, f"{path}.{name}.{key}")
    for name in ("anyOf", "allOf"):
        for inner in schema.get(name, []):
            yield from faults(inner, f"{path}.{name}")
    yield from faults(schema.get("items"), f"{path}.items")


def test_schema_is_that_of_the_sdk() -> None:
    left_out: list[str] = []
    accepted = accepted_schema(SCHEMA, "s", left_out)
    expected = transform_schema(SCHEMA)
    # The SDK quotes values as Python does, and this server as JSON.
    expected["properties"]["f"]["description"] = '{format: "binary", pattern: "a+"}'
    assert accepted == expected
    assert list(faults(accepted)) == []
    assert left_out == [
        "s.properties.a.minLength",
        "s.properties.a.maxLength",
        "s.properties.b.maxItems",
        "s.properties.b.minItems",
        "s.properties.b.items.properties.n.minimum",
        "s.properties.f.format",
        "s.properties.f.pattern",
        "s.$defs.D.minProperties",
    ]


@pytest.mark.parametrize(
    ("schema", "accepted", "left_out"),
    [
        ({}, {}, []),
        (True, True, []),
        (
            {"type": ["object", "null"], "properties": {}},
            {"type": ["object", "null"], "properties": {}, "additionalProperties": False},
            [],
        ),
        (
            {"properties": {"a": True}},
            {"type": "object", "properties": {"a": True}, "additionalProperties": False},
            [],
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {
                "type": "object",
                "properties": {},
                "additionalProperties": False,
                "description": '{additionalProperties: {"type":"string"}}',
            },
            ["s.additionalProperties"],
        ),
        (
            {"type": "integer", "default": 3, "description": "d", "$schema": "x"},
            {"type": "integer", "description": 'd\n\n{default: 3, $schema: "x"}'},
            [],
        ),
    ],
)
def test_special_schemas(schema: object, accepted: object, left_out: list[str]) -> None:
    found: list[str] = []
    assert accepted_schema(schema, "s", found) == accepted
    assert found == left_out


def test_deep_schema_does_not_crash() -> None:
    schema: dict[str, Any] = {}
    for _ in range(900):
        schema = {"type": "array", "items": schema}
    accepted_schema(schema, "s", [])


SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "integer", "object"])},
        optional={name: st.integers(0, 3) for name in sorted(FORBIDDEN) if name != "oneOf"},
    ),
    lambda inner: (
        st.builds(lambda one: {"type": "array", "items": one, "maxItems": 2}, inner)
        | st.builds(lambda one: {"type": "object", "properties": {"oneOf": one}}, inner)
        | st.builds(lambda one: {"oneOf": [one]}, inner)
        | st.builds(lambda one: {"allOf": [one], "not": one}, inner)
    ),
    max_leaves=6,
)


@given(SCHEMAS)
def test_no_schema_has_what_the_api_refuses(schema: dict[str, Any]) -> None:
    assert list(faults(accepted_schema(schema, "s", []))) == []


def body(client: str, **parameters: Any) -> dict[str, Any]:
    call = ModelCall(
        upstream_model="claude-sonnet-4-5",
        messages=read_messages([{"role": "user", "content": "Hi"}]),
        parameters=parameters,
        client=client,
    )
    found = msgspec.json.decode(ANTHROPIC.build(call, None).body)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("client", ["openai-chat", "openai-responses", "anthropic"])
def test_schemas_of_formats_and_strict_tools_are_made_accepted(client: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
    tools = [
        {"type": "function", "function": {"name": name, "strict": strict, "parameters": SCHEMA}}
        for name, strict in (("a", True), ("b", False))
    ]
    found = body(client, response_format=wanted, tools=tools)
    strict, loose = [tool["input_schema"] for tool in found["tools"]]
    assert loose == SCHEMA
    for schema in (strict, found["output_config"]["format"]["schema"]):
        # A client of the same API knows what it accepts.
        assert (schema == SCHEMA) is (client == "anthropic")
        assert client == "anthropic" or list(faults(schema)) == []
