"""Tests of example values, which must fit their JSON schemas."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.simulated.schema_examples import example

JSON = object
bounds = st.integers(-50, 50)


@given(
    st.sampled_from(["integer", "number"]), bounds, st.integers(0, 30), st.booleans(),
    st.booleans(), st.integers(1, 5), st.integers(0, 2**64),
)  # fmt: skip
def test_numbers_are_within_bounds(
    type: str, low: int, span: int, open_low: bool, open_high: bool, step: int, seed: int
) -> None:
    high = low + span + 2 * step
    schema = {
        "type": type,
        "exclusiveMinimum" if open_low else "minimum": low,
        "exclusiveMaximum" if open_high else "maximum": high,
        "multipleOf": step,
    }
    value = example(schema, seed)
    assert isinstance(value, int)
    assert low + open_low <= value <= high - open_high
    assert value % step == 0


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 2**64))
def test_strings_have_their_length(least: int, more: int, seed: int) -> None:
    value = example({"type": "string", "minLength": least, "maxLength": least + more}, seed)
    assert isinstance(value, str)
    assert least <= len(value) <= least + more


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"const": 7}, 7),
        ({"type": "string", "default": "x"}, "x"),
        ({"enum": ["only"]}, "only"),
        ({"type": "null"}, None),
        ({"type": ["null", "boolean"], "const": True}, True),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": "array", "items": {"const": 1}, "minItems": 3}, [1, 1, 1]),
        ({"type": "array", "items": {"const": 1}, "maxItems": 0}, []),
        ({"anyOf": [{"const": 1}, {"const": 2}]}, 1),
        ({"$ref": "#/$defs/one", "$defs": {"one": {"const": 1}}}, 1),
        (
            {
                "allOf": [
                    {"properties": {"a": {"const": 1}}},
                    {"properties": {"b": {"const": 2}}},
                ]
            },
            {"a": 1, "b": 2},
        ),
        ({"properties": {"a": {"const": 1}}, "required": ["a"]}, {"a": 1}),
    ],
)
def test_values(schema: JSON, expected: JSON) -> None:
    assert example(schema, 3) == expected


def test_a_recursive_schema_ends() -> None:
    node = {
        "type": "object",
        "properties": {
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        },
        "required": ["next"],
    }
    value = example({"$ref": "#/$defs/node", "$defs": {"node": node}}, 1)
    assert len(msgspec.json.encode(value)) < 20_000


def test_a_schema_that_only_names_itself_ends() -> None:
    assert example({"$ref": "#"}, 1) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}},
        {"allOf": [{"$ref": "#"}] * 5},
        {"properties": {name: {"$ref": "#"} for name in "abcdefgh"}},
    ],
)
def test_exponential_schema_ends(schema: JSON) -> None:
    assert len(msgspec.json.encode(example(schema, 1))) < 100_000


_leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5)
_keys = st.sampled_from(
    ["type", "properties", "items", "anyOf", "allOf", "$ref", "enum", "required", "minItems",
     "minimum", "maximum", "multipleOf", "minLength", "maxLength", "format"]
)  # fmt: skip


@given(
    st.recursive(
        _leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
        max_leaves=12,
    )
)
def test_arbitrary_schemas_do_not_crash(schema: JSON) -> None:
    msgspec.json.encode(example(schema, 1))
