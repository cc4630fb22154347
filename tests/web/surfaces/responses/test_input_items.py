"""Tests of input items: they get ids, and large inputs are decoded item by item."""

import json

import msgspec
import pytest

from web.http.json_body import AT_ONCE
from web.surfaces.responses.input_items import input_with_ids


def message(text: str, **more: object) -> dict[str, object]:
    return {"type": "message", "role": "user", "content": text} | more


@pytest.mark.parametrize("text", ["Hi", "a" * AT_ONCE])
def test_items_without_an_id_get_one_from_their_index(text: str) -> None:
    own, call = message(text, id="mine"), {"type": "function_call", "call_id": "c"}
    named = list(input_with_ids("turn_7", json.dumps([message(text), own, call])))
    assert named == [message(text, id="msg_7_in_0"), own, call | {"id": "fc_7_in_2"}]


def test_large_input_is_decoded_item_by_item() -> None:
    items = input_with_ids("turn_7", json.dumps([message("a" * AT_ONCE), 1]))
    assert next(items)["id"] == "msg_7_in_0"
    with pytest.raises(msgspec.ValidationError):
        next(items)


def test_small_input_is_decoded_at_once() -> None:
    with pytest.raises(msgspec.ValidationError):
        next(input_with_ids("turn_7", json.dumps([message("Hi"), 1])))
