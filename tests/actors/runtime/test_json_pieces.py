"""Tests of encoding and decoding JSON in pieces."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.runtime import json_pieces, offload
from actors.runtime.json_pieces import decoded, encoded, has_too_many_values
from actors.runtime.offload import BUDGET, Cost
from actors.turn.messages import ImagePart, TextPart, UserMessage
from tests.support.sizes import examples

MANY = BUDGET // Cost.VALUE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=examples(30))
@given(st.dictionaries(st.text(max_size=3), JSON), st.sampled_from([0, MANY]))
def test_piecewise_encoding_gives_the_same_document(document: dict[str, Any], more: int) -> None:
    document |= {"many": [document.copy()] * more}
    assert encoded(document) == msgspec.json.encode(document)


def test_deep_documents_are_encoded() -> None:
    deep: object = "end"
    for _ in range(100):
        deep = [{"in": deep}]
    document = {"deep": deep, "many": [0] * MANY}
    assert encoded(document) == msgspec.json.encode(document)


def test_structs_are_encoded_in_pieces() -> None:
    parts = (TextPart("a"), ImagePart("https://x.test/a"))
    messages = [UserMessage(parts) for _ in range(MANY)]
    assert encoded(messages) == msgspec.json.encode(messages)


@given(JSON, st.integers(0, 6))
def test_piecewise_decoding_gives_the_same_value(value: object, depth: int) -> None:
    data = msgspec.json.encode(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offload, "BUDGET", 0)
        assert decoded(data, depth) == decoded(data.decode(), depth) == value


@pytest.mark.parametrize("data", ["", "{", '{"a":[1,}]}', '[{"a":"\\x"}]'])
def test_invalid_json_is_refused_in_pieces_too(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offload, "BUDGET", 0)
    with pytest.raises(msgspec.DecodeError):
        decoded(data)


STRINGS = st.text(st.sampled_from('a"\\\\,:[{€'), max_size=12)
NESTED = st.recursive(
    st.none() | st.integers(-9, 9) | STRINGS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(STRINGS, inner, max_size=5),
    max_leaves=30,
)


def marks(value: object) -> int:
    """Return the number of commas, opening brackets and, thrice, colons outside strings."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    colons = len(value) if isinstance(value, dict) else 0
    return 1 + max(0, len(value) - 1) + 3 * colons + sum(map(marks, inner))


@settings(max_examples=examples(200))
@given(NESTED, st.integers(1, 40), st.booleans())
def test_values_are_counted_outside_strings(value: object, window: int, as_text: bool) -> None:
    """Wherever a window ends, also between a backslash and the quote that it escapes."""
    data = msgspec.json.encode(value)
    expected = marks(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_pieces, "_WINDOW", window)
        for limit in (expected - 1, expected):
            patch.setattr(json_pieces, "MAX_VALUES", limit)
            given = data.decode() if as_text else data
            assert has_too_many_values(given) is (limit < expected)
