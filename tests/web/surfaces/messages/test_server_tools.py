"""Tests of tools that Anthropic's servers run: their blocks pass both ways on routes to them."""

import json
from typing import Any

import pytest
from trio.testing import MockClock

from tests.support.conversations import SURFACES, answer_on, body_for, request_of
from tests.support.edge_harness import open_harness
from tests.support.messages_readers import frames_of
from tests.support.provider_streams import blocks, chunks_of, output
from tests.support.responses_requests import last_call
from tests.support.turn_fakes import ScriptedProvider, stop, text
from web.config.provider_settings import formats

Object = dict[str, Any]
ANTHROPIC: dict[str, object] = {"main": {"format": "anthropic", "api_key": "k" * 20}}
TOOLS: list[Object] = [
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
    {"type": "web_fetch_20250910", "name": "web_fetch"},
    {"type": "code_execution_20250825", "name": "code_execution"},
    {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
    {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
    {"type": "tool_search_tool_bm25", "name": "tool_search_tool_bm25"},
    {"type": "computer_20250124", "name": "computer", "display_width_px": 9},
    {"type": "browser_toolset_20260801", "name": "browser"},
    {"type": "mcp_toolset", "mcp_server_name": "m"},
]
FUNCTION = {"name": "f", "input_schema": {"type": "object"}}
SEARCH = {
    "type": "server_tool_use",
    "id": "srvtoolu_1",
    "name": "web_search",
    "input": {"query": "rain"},
}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [
        {
            "type": "web_search_result",
            "url": "https://a.test",
            "title": "A",
            "encrypted_content": "c",
            "page_age": None,
        }
    ],
}
CITATION = {
    "type": "web_search_result_location",
    "url": "https://a.test",
    "title": "A",
    "encrypted_index": "e",
    "cited_text": "It rains",
}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
ANSWER: list[Object] = [
    THINKING,
    SEARCH,
    FOUND,
    {"type": "text", "text": "It rains.", "citations": [CITATION]},
    THINKING | {"signature": "bW9yZQ=="},
    {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "f",
        "input": {"a": 1},
        "caller": {"type": "code_execution_20250825", "tool_id": "srvtoolu_2"},
        "toolset_name": "browser",
    },
]


@pytest.mark.parametrize("stream", [True, False])
async def test_blocks_of_server_tools_pass_both_ways(
    stream: bool, autojump_clock: MockClock
) -> None:
    chunks = chunks_of("anthropic", blocks(*ANSWER))
    asked = request_of("messages") | {"tools": [FUNCTION, *TOOLS]}
    async with open_harness(ScriptedProvider(chunks), providers=ANTHROPIC) as harness:
        [answer] = await answer_on(harness, "messages", asked, stream=stream)
        assert answer["content"] == ANSWER
        sent = body_for("anthropic", last_call(harness))
        assert sent["tools"] == [FUNCTION, *TOOLS]
        result = {
            "type": "tool_result",
            "tool_use_id": "toolu_1",
            "content": [{"type": "text", "text": "r"}, {"type": "browser_state", "tabs": []}],
            "toolset_name": "browser",
        }
        change = {"type": "tool_removal", "tool": {"type": "tool_reference", "tool_name": "f"}}
        again = request_of("messages", answer, {"role": "user", "content": [result, change]})
        await answer_on(harness, "messages", again, stream=stream)
        sent = body_for("anthropic", last_call(harness))["messages"]
        assert [one["content"] for one in sent[1:]] == [ANSWER, [result, change]]


CALLED = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
CALLS = {
    "messages": ("anthropic", blocks(ANSWER[-1])),
    "responses": ("openai-responses", output(CALLED | {"caller": ANSWER[-1]["caller"]})),
}
"""Answers with a call that another tool made, by the surface of their API."""


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("made_by", CALLS)
async def test_the_caller_of_a_call_is_shown_to_clients_of_its_api(
    made_by: str, surface: str, stream: bool, autojump_clock: MockClock
) -> None:
    async with open_harness(ScriptedProvider(chunks_of(*CALLS[made_by]))) as harness:
        answer = await answer_on(harness, surface, request_of(surface), stream=stream)
        assert ("srvtoolu_2" in json.dumps(answer)) is (surface == made_by)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_paused_turn_can_be_continued(stream: bool, autojump_clock: MockClock) -> None:
    chunks = chunks_of("anthropic", blocks(SEARCH, reason="pause_turn"))
    body = request_of("messages") | {"tools": TOOLS, "stream": stream}
    async with open_harness(ScriptedProvider(chunks), providers=ANTHROPIC) as harness:
        response = await harness.post("/v1/messages", json=body)
        if stream:
            [delta] = [f for f in frames_of(response.content) if f.event == "message_delta"]
            assert json.loads(delta.data)["delta"]["stop_reason"] == "pause_turn"
        else:
            assert response.json()["stop_reason"] == "pause_turn"
        again = request_of("messages", {"role": "assistant", "content": [SEARCH]})
        assert (await harness.post("/v1/messages", json=again)).status_code == 200
        sent = body_for("anthropic", last_call(harness))["messages"]
        assert sent[-1] == {"role": "assistant", "content": [SEARCH]}


@pytest.mark.parametrize("format", ["gemini", "ollama", "openai-chat", "openai-responses"])
async def test_other_apis_do_without_server_tools(format: str, autojump_clock: MockClock) -> None:
    history: list[Object] = [
        {"role": "assistant", "content": [SEARCH, FOUND, {"type": "text", "text": "It rains."}]},
        {"role": "user", "content": "Where?"},
    ]
    body = request_of("messages", *history) | {"tools": [FUNCTION, *TOOLS]}
    async with open_harness(ScriptedProvider(text("ok"), stop())) as harness:
        assert (await harness.post("/v1/messages", json=body)).status_code == 200
        call = last_call(harness)
    sent = json.dumps(body_for(format, call))
    for hidden in ("web_search", "srvtoolu_1", "computer", "mcp"):
        assert hidden not in sent
    assert '"f"' in sent
    assert "It rains." in sent
    named = " ".join(formats()[format].format.unsupported(call))
    assert all(f"tools[{index}]" in named for index in range(1, 7))
    assert "messages[1].content[0]" in named
    assert "messages[1].content[1]" in named


@pytest.mark.parametrize(
    ("choice", "tools"),
    [
        ({"type": "tool", "name": "web_search"}, [FUNCTION, *TOOLS]),
        ({"type": "any"}, TOOLS),
    ],
)
async def test_a_demanded_server_tool_needs_its_api(
    choice: Object, tools: list[Object], autojump_clock: MockClock
) -> None:
    body = request_of("messages") | {"tools": tools, "tool_choice": choice}
    other = ScriptedProvider(text("no"), stop(), name="other")
    main = ScriptedProvider(text("ok"), stop())
    providers = ANTHROPIC | {"other": {"format": "openai-chat", "base_url": "http://up.test/v1"}}
    async with open_harness(other, providers=providers) as harness:
        refused = await harness.post("/v1/messages", json=body)
        assert refused.status_code == 400
        assert "tool_choice" in refused.json()["error"]["message"]
    async with open_harness(other, main, providers=providers) as harness:
        answer = await harness.post("/v1/messages", json=body)
        assert answer.headers["x-trouper-route"].startswith("main/")
        assert not other.calls


async def test_strict_requests_need_a_route_that_runs_the_tools(autojump_clock: MockClock) -> None:
    body = request_of("messages") | {"tools": TOOLS, "strict": True}
    cannot = ScriptedProvider(text("no"), stop(), cannot=("tools[0]",))
    async with open_harness(cannot) as harness:
        assert (await harness.post("/v1/messages", json=body)).status_code == 400
