"""What was asked gets ids, and where it is large it is read an item at a time."""

import json

import msgspec
import pytest

from web.json_body import AT_ONCE
from web.responses.listing import named_input


def message(text: str, **more: object) -> dict[str, object]:
    return {"type": "message", "role": "user", "content": text} | more


@pytest.mark.parametrize("text", ["Hi", "a" * AT_ONCE])
def test_items_without_an_id_get_one_by_their_place(text: str) -> None:
    own, call = message(text, id="mine"), {"type": "function_call", "call_id": "c"}
    named = list(named_input("turn_7", json.dumps([message(text), own, call])))
    assert named == [message(text, id="msg_7_in_0"), own, call | {"id": "fc_7_in_2"}]


def test_what_is_large_is_read_an_item_at_a_time() -> None:
    items = named_input("turn_7", json.dumps([message("a" * AT_ONCE), 1]))
    assert next(items)["id"] == "msg_7_in_0"
    with pytest.raises(msgspec.ValidationError):
        next(items)


def test_what_is_small_is_read_at_once() -> None:
    with pytest.raises(msgspec.ValidationError):
        next(named_input("turn_7", json.dumps([message("Hi"), 1])))
