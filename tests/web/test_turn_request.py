"""What a chat request and its model's plan come to as a turn."""

import json

import pytest

from actors.outcome import OnCut
from tests.actors.fakes import ScriptedProvider
from tests.web.house import asking, open_house
from web.chat.request import read_chat_request
from web.routes.chat import turn_request

MODELS: dict[str, object] = {
    "large": {
        "routes": ["main/a", {"route": "main/b", "capabilities": ["prefill"]}],
        "on_cut": "restart",
        "continue_instruction": "Go on.",
    }
}


async def test_the_model_says_what_becomes_of_a_cut() -> None:
    async with open_house(ScriptedProvider(), models=MODELS) as house:
        ask = read_chat_request(json.dumps(asking()).encode())
        turn = turn_request(house.service, ask)
    assert (turn.on_cut, turn.continue_instruction) == (OnCut.RESTART, "Go on.")
    assert [planned.capabilities.prefill for planned in turn.routes] == [False, True]


@pytest.mark.parametrize(
    ("changes", "strict", "replaceable"),
    [
        ({}, False, True),
        ({"stream": True}, False, False),
        ({"stream": True, "strict": True}, True, False),
    ],
)
async def test_the_client_says_how_strict_it_is_and_whether_it_sees_the_middle(
    changes: dict[str, object], strict: bool, replaceable: bool
) -> None:
    async with open_house(ScriptedProvider()) as house:
        ask = read_chat_request(json.dumps(asking(**changes)).encode())
        turn = turn_request(house.service, ask)
    assert (turn.strict, turn.replaceable) == (strict, replaceable)
    assert "strict" not in turn.call.parameters
