"""Tests that the items of an answer return to Responses routes alone, however a client sends them.

Whether it sends them back, names them, or continues a stored response: they keep their order.
"""

import json

import pytest
from trio.testing import MockClock

from tests.support.conversations import answer_on, body_for, request_of
from tests.support.edge_harness import EdgeHarness, open_harness
from tests.support.provider_streams import chunks_of, output
from tests.support.responses_requests import Object, function_output, last_call
from tests.support.turn_fakes import ScriptedProvider
from web.config.provider_settings import formats

OTHERS = sorted(formats().keys() - {"openai-responses", "responses-ws"})
INCLUDE = ["reasoning.encrypted_content"]


def thinking(secret: str, *summary: str) -> Object:
    return {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text} for text in summary],
        "encrypted_content": secret,
    }


def said(text: str) -> list[Object]:
    return [{"type": "output_text", "text": text, "annotations": []}]


SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q"}}
SUMMARY = {"type": "compaction", "id": "cmp_9", "encrypted_content": "SECRET 3"}
MESSAGE = {"type": "message", "id": "msg_9", "role": "assistant", "status": "completed"}
CALL = {"type": "function_call", "call_id": "call_a", "name": "f", "arguments": "{}"}
ANSWER: list[Object] = [
    thinking("SECRET 1") | {"id": "rs_7"},
    SEARCH,
    thinking("SECRET 2", "Hm.") | {"id": "rs_8"},
    MESSAGE | {"id": "msg_8", "phase": "commentary", "content": said("Wait.")},
    MESSAGE | {"phase": "final_answer", "content": said("So.")},
    SUMMARY,
    thinking("SECRET 4") | {"id": "rs_9"},
    CALL | {"id": "fc_9", "status": "completed"},
]
RETURNED: list[Object] = [
    {"role": "user", "content": "Hi"},
    thinking("SECRET 1"),
    SEARCH,
    thinking("SECRET 2", "Hm."),
    {"role": "assistant", "content": "Wait.", "phase": "commentary"},
    {"role": "assistant", "content": "So.", "phase": "final_answer"},
    SUMMARY,
    thinking("SECRET 4"),
    CALL,
    function_output(),
]
WAYS = ("sent back", "named", "previous response", "conversation")


async def two_turns(harness: EdgeHarness, way: str, *, stream: bool) -> None:
    """Run a turn whose answer has items of many types, and one that continues it in this way."""
    first = request_of("responses") | {"include": INCLUDE, "store": way != "sent back"}
    if way == "conversation":
        first["conversation"] = "talk"
    answer = await answer_on(harness, "responses", first, stream=stream)
    items = {
        "sent back": answer,
        "named": [{"type": "item_reference", "id": item["id"]} for item in answer],
    }.get(way, [])
    again = request_of("responses", *items, function_output()) | {"include": INCLUDE}
    if way == "sent back":
        again["store"] = False
    elif way != "named":
        past = {"previous response": ("previous_response_id", "resp_1")}
        name, value = past.get(way, ("conversation", "talk"))
        again |= {name: value, "input": [function_output()]}
    await answer_on(harness, "responses", again, stream=stream)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("way", WAYS)
async def test_items_return_to_routes_of_their_api_in_order(
    way: str, stream: bool, autojump_clock: MockClock
) -> None:
    provider = ScriptedProvider(
        chunks_of("openai-responses", output(*ANSWER)), api="openai-responses"
    )
    async with open_harness(provider) as harness:
        await two_turns(harness, way, stream=stream)
        call = last_call(harness)
        body = body_for("openai-responses", call)
        assert body["input"] == RETURNED
        assert body["include"] == INCLUDE
        assert formats()["openai-responses"].format.unsupported(call) == ()


@pytest.mark.parametrize("way", WAYS)
async def test_items_return_to_no_other_api(way: str, autojump_clock: MockClock) -> None:
    provider = ScriptedProvider(chunks_of("openai-responses", output(*ANSWER)))
    async with open_harness(provider) as harness:
        await two_turns(harness, way, stream=False)
        call = last_call(harness)
        for name in OTHERS:
            sent = json.dumps(body_for(name, call))
            assert "SECRET" not in sent, name
            assert "So." in sent, name
            left_out = formats()[name].format.unsupported(call)
            places = " ".join(left_out)
            assert "(web_search_call)" in places
            assert "(compaction)" in places
            assert "messages[1].thinking_blocks" in left_out
            assert "include" not in places


async def test_compaction_keeps_no_encrypted_reasoning(autojump_clock: MockClock) -> None:
    provider = ScriptedProvider(chunks_of("openai-responses", output(*ANSWER[:3], *ANSWER[4:5])))
    async with open_harness(provider) as harness:
        await answer_on(harness, "responses", request_of("responses"), stream=False)
        body = {"model": "large", "input": "And?", "previous_response_id": "resp_1"}
        compacted = await harness.post("/v1/responses/compact", json=body)
        assert compacted.status_code == 200, compacted.text
        assert "SECRET" not in str(last_call(harness).messages)
        kept = compacted.json()["output"]
        assert [item["type"] for item in kept] == ["message", "message", "compaction"]
        assert "SECRET" not in json.dumps(kept)
