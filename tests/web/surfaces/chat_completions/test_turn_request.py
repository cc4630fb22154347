"""The turn request that a chat request and its model's plan result in."""

import pytest

from actors.turn.outcome import OnCut
from tests.support.edge_harness import chat_body, open_harness
from tests.support.turn_fakes import ScriptedProvider
from web.dialects.openai_chat.stream import NAME
from web.service import LOCAL_USER
from web.surfaces.chat_completions.request import read_chat_request

MODELS: dict[str, object] = {
    "large": {
        "routes": ["main/a", {"route": "main/b", "capabilities": ["prefill"]}],
        "on_cut": "restart",
        "continue_instruction": "Go on.",
    }
}


async def test_model_settings_decide_on_cut_and_capabilities() -> None:
    async with open_harness(ScriptedProvider(), models=MODELS) as harness:
        ask = read_chat_request(chat_body())
        turn = harness.service.planner.find(ask.model).turn(ask, NAME, LOCAL_USER)
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
async def test_client_decides_strict_and_replaceable(
    changes: dict[str, object], strict: bool, replaceable: bool
) -> None:
    async with open_harness(ScriptedProvider()) as harness:
        ask = read_chat_request(chat_body(**changes))
        turn = harness.service.planner.find(ask.model).turn(ask, NAME, LOCAL_USER)
    assert (turn.strict, turn.replaceable) == (strict, replaceable)
    assert "strict" not in turn.call.parameters
