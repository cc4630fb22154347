"""Tests that signed and opaque reasoning comes back to the API that made it, and to no other."""

import json
from typing import Any

import pytest
from trio.testing import MockClock

from actors.turn.model_call import ModelCall
from tests.support.conversations import (
    SURFACES,
    answer_on,
    body_for,
    has,
    request_of,
    results_for,
)
from tests.support.edge_harness import open_harness
from tests.support.provider_streams import blocks, chunks_of, deltas, output, parts
from tests.support.responses_requests import last_call
from tests.support.turn_fakes import ScriptedProvider
from web.config.provider_settings import formats

SECRET = "U0lHTkVE"
CALL_ID = "call_a"


TOOL_USE = {"type": "tool_use", "id": CALL_ID, "name": "f", "input": {"a": 1}}
FUNCTION_CALL = {"functionCall": {"id": CALL_ID, "name": "f", "args": {"a": 1}}}
CALL_ITEM = {"type": "function_call", "call_id": CALL_ID, "name": "f", "arguments": '{"a":1}'}
TOOL_CALL = {"id": CALL_ID, "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
GOOGLE = {"extra_content": {"google": {"thought_signature": SECRET}}}
LITELLM = {"provider_specific_fields": {"thought_signature": SECRET}}
SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": SECRET}
ENCRYPTED = {"type": "reasoning.encrypted", "data": SECRET, "id": "r", "index": 1}
DETAILS: list[dict[str, Any]] = [
    {"type": "reasoning.text", "text": "Hm.", "signature": None, "index": 0},
    ENCRYPTED,
]

CASES: dict[str, tuple[str, bytes, list[dict[str, Any]]]] = {
    "signature": ("anthropic", blocks(SIGNED, TOOL_USE), [SIGNED, TOOL_USE]),
    "omitted thinking": (
        "anthropic",
        blocks(SIGNED | {"thinking": ""}, TOOL_USE),
        [SIGNED | {"thinking": ""}, TOOL_USE],
    ),
    "redacted thinking": (
        "anthropic",
        blocks({"type": "redacted_thinking", "data": SECRET}, TOOL_USE),
        [{"type": "redacted_thinking", "data": SECRET}, TOOL_USE],
    ),
    "signed call": (
        "gemini",
        parts({"text": "Hm.", "thought": True}, FUNCTION_CALL | {"thoughtSignature": SECRET}),
        [FUNCTION_CALL | {"thoughtSignature": SECRET}],
    ),
    "signed text": (
        "gemini",
        parts({"text": "Yes."}, {"text": "", "thoughtSignature": SECRET}),
        [{"text": "Yes.", "thoughtSignature": SECRET}],
    ),
    "signed thought": (
        "gemini",
        parts({"text": "Hm.", "thought": True, "thoughtSignature": SECRET}, {"text": "Yes."}),
        [{"thought": True, "thoughtSignature": SECRET}, {"text": "Yes."}],
    ),
    "encrypted content": (
        "openai-responses",
        output({"type": "reasoning", "summary": [], "encrypted_content": SECRET}, CALL_ITEM),
        [{"type": "reasoning", "summary": [], "encrypted_content": SECRET}, CALL_ITEM],
    ),
    "encrypted content with a summary": (
        "openai-responses",
        output(
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "Hm."}],
                "encrypted_content": SECRET,
            },
            CALL_ITEM,
        ),
        [{"encrypted_content": SECRET}, CALL_ITEM],
    ),
    "reasoning details": (
        "openai-chat",
        deltas(
            {"reasoning": "Hm", "reasoning_details": [DETAILS[0] | {"text": "H"}]},
            {"reasoning": ".", "reasoning_details": [DETAILS[0] | {"text": "m."}]},
            {"reasoning_details": [ENCRYPTED]},
            {"tool_calls": [{"index": 0, **TOOL_CALL}]},
        ),
        [{"reasoning_details": DETAILS, "tool_calls": [TOOL_CALL]}],
    ),
    "details behind the call": (
        "openai-chat",
        deltas({"tool_calls": [{"index": 0, **TOOL_CALL}]}, {"reasoning_details": [ENCRYPTED]}),
        [{"reasoning_details": [ENCRYPTED], "tool_calls": [TOOL_CALL]}],
    ),
    "thinking blocks": (
        "openai-chat",
        deltas(
            {"thinking_blocks": [{"type": "thinking", "thinking": "H", "signature": None}]},
            {"thinking_blocks": [{"type": "thinking", "thinking": "m.", "signature": None}]},
            {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": SECRET}]},
            {"tool_calls": [{"index": 0, **TOOL_CALL}]},
        ),
        [{"thinking_blocks": [SIGNED], "tool_calls": [TOOL_CALL]}],
    ),
    "opaque reasoning": (
        "openai-chat",
        deltas({"reasoning_opaque": SECRET}, {"tool_calls": [{"index": 0, **TOOL_CALL}]}),
        [{"reasoning_opaque": SECRET, "tool_calls": [TOOL_CALL]}],
    ),
    "signed call of a gateway": (
        "openai-chat",
        deltas({"tool_calls": [{"index": 0, **TOOL_CALL, **LITELLM}]}),
        [{"tool_calls": [TOOL_CALL | LITELLM]}],
    ),
    "signed call of a compatible server": (
        "openai-chat",
        deltas({"tool_calls": [{"index": 0, **TOOL_CALL, **GOOGLE}]}),
        [{"tool_calls": [TOOL_CALL | GOOGLE]}],
    ),
    "signed text of a compatible server": (
        "openai-chat",
        deltas({"content": "Yes."}, {"content": "", **GOOGLE}),
        [{"content": "Yes.", **GOOGLE}],
    ),
}
"""Answers by what they have: format, stream, and the objects that are sent back."""


def check_returned(case: str, call: ModelCall, *, surface: str) -> None:
    format, _, wanted = CASES[case]
    sent = body_for(format, call)
    for one in wanted:
        assert has(sent, one), json.dumps(sent, indent=1)
    for other in formats().keys() - {format, "responses-ws" if "resp" in format else ""}:
        # Clients of Chat have Google's own field, which compatible servers know too.
        if not ({other, format} == {"gemini", "openai-chat"} and surface == "chat"):
            assert SECRET not in json.dumps(body_for(other, call)), other


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("case", CASES)
async def test_state_returns_to_its_api_alone(
    case: str, surface: str, stream: bool, autojump_clock: MockClock
) -> None:
    chunks = chunks_of(*CASES[case][:2])
    async with open_harness(ScriptedProvider(chunks)) as harness:
        answer = await answer_on(harness, surface, request_of(surface), stream=stream)
        if surface == "messages" and case.startswith("signed text"):
            # Clients take the last block for the answer, and providers can do without this state.
            assert [block["type"] for block in answer[0]["content"]] == ["text"]
            return
        assert SECRET in json.dumps(answer)
        again = request_of(surface, *answer, *results_for(surface, answer))
        await answer_on(harness, surface, again, stream=stream)
        check_returned(case, last_call(harness), surface=surface)


@pytest.mark.parametrize("case", CASES)
async def test_state_is_stored_with_a_response(case: str, autojump_clock: MockClock) -> None:
    chunks = chunks_of(*CASES[case][:2])
    async with open_harness(ScriptedProvider(chunks)) as harness:
        first = await harness.post("/v1/responses", json=request_of("responses"))
        items = results_for("responses", first.json()["output"])
        again = {"model": "large", "input": items, "previous_response_id": first.json()["id"]}
        assert (await harness.post("/v1/responses", json=again)).status_code == 200
        check_returned(case, last_call(harness), surface="responses")
