"""Tests of input items: they get ids, large inputs too."""

import json

import msgspec
import pytest

from actors.runtime.offload import BUDGET, Cost
from web.surfaces.responses.input_items import input_with_ids


def message(text: str, **more: object) -> dict[str, object]:
    return {"type": "message", "role": "user", "content": text} | more


@pytest.mark.parametrize("text", ["Hi", "a" * (BUDGET // Cost.BODY)])
def test_items_without_an_id_get_one_from_their_index(text: str) -> None:
    own, call = message(text, id="mine"), {"type": "function_call", "call_id": "c"}
    named = list(input_with_ids("turn_7", json.dumps([message(text), own, call])))
    assert named == [message(text, id="msg_7_in_0"), own, call | {"id": "fc_7_in_2"}]


@pytest.mark.parametrize("text", ["Hi", "a" * (BUDGET // Cost.BODY)])
def test_other_values_than_items_are_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        next(input_with_ids("turn_7", json.dumps([message(text), 1])))
