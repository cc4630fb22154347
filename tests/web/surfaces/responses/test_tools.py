"""Tools and items of every type: as they are for routes that speak Responses, or unfolded."""

import json

import pytest
from trio.testing import MockClock

from actors.continuation.request import continuation
from actors.providers.formats.anthropic.decoder import ANTHROPIC
from actors.providers.formats.base import Format
from actors.providers.formats.gemini.decoder import GEMINI
from actors.providers.formats.ollama.decoder import OLLAMA
from actors.providers.formats.openai_chat.decoder import OPENAI_CHAT
from actors.providers.formats.openai_responses.decoder import OPENAI_RESPONSES
from actors.turn.chunks import NativeItemChunk, ToolCallChunk
from actors.turn.messages import AssistantMessage, ToolCall, ToolMessage
from actors.turn.model_call import JSON, ClientTool, ModelCall
from actors.turn.outcome import Reason
from tests.support.chat_readers import comments_of
from tests.support.edge_harness import EdgeHarness, open_harness
from tests.support.responses_readers import read_stream
from tests.support.responses_requests import (
    HELLO,
    Object,
    create_response,
    error_of,
    get_response,
    last_call,
    post_response,
)
from tests.support.turn_fakes import Line, Scene, ScriptedProvider, stop
from web.http.api_error import ApiError
from web.surfaces.responses.history.conversation import chat_parameters, conversation_of
from web.surfaces.responses.history.history import Chain
from web.surfaces.responses.history.native_request import native_request
from web.surfaces.responses.input.compaction_summary import seal
from web.surfaces.responses.input.tools import ChatTools
from web.surfaces.responses.request import read_responses_request

OTHER_FORMATS = [ANTHROPIC, GEMINI, OLLAMA, OPENAI_CHAT]
SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
FIND: Object = {"type": "function", "name": "find", "parameters": SCHEMA, "strict": False}
GRAMMAR = {"syntax": "lark", "definition": "start: /.+/"}
PATCH: Object = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Patch.",
    "format": {"type": "grammar", **GRAMMAR},
}
WEATHER: Object = {
    "type": "namespace",
    "name": "mcp__weather",
    "description": "Weather of today.",
    "tools": [FIND, PATCH | {"name": "exec"}],
}
HOSTED: list[Object] = [
    {"type": "web_search", "filters": {"allowed_domains": ["a"]}},
    {"type": "file_search", "vector_store_ids": ["v"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "image_generation"},
    {"type": "mcp", "server_label": "s", "server_url": "http://a"},
    {"type": "computer_use_preview", "display_width": 1, "display_height": 1},
    {"type": "local_shell"},
    {"type": "shell"},
    {"type": "apply_patch"},
    {"type": "tool_search"},
    {"type": "next_month", "of": ["the", "future"]},
]
ITEMS: list[Object] = [
    {"type": "additional_tools", "role": "developer", "tools": [WEATHER, {"type": "web_search"}]},
    {"role": "user", "content": "Find it."},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q"}},
    {"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}",
     "namespace": "mcp__weather"},
    {"type": "local_shell_call", "id": "ls_1", "call_id": "c9", "action": {"type": "exec"}},
    {"type": "function_call_output", "call_id": "c1", "output": "It."},
    {"type": "local_shell_call_output", "id": "lso_1", "call_id": "c9", "output": "ok"},
    {"type": "custom_tool_call", "call_id": "c2", "name": "exec", "input": 'a "b"',
     "namespace": "mcp__weather"},
    {"type": "custom_tool_call_output", "call_id": "c2", "output": "Done."},
    {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
    {"type": "next_month", "of": ["the", "future"]},
    {"type": "compaction", "id": "cmp_9", "encrypted_content": "of the provider"},
    {"role": "user", "content": "And now?"},
]  # fmt: skip


def call_of(**changes: object) -> ModelCall:
    """Return the model call of a request without a history."""
    body = {"model": "large", "input": "Hi"} | changes
    request = read_responses_request(body)
    conversation = conversation_of(request, Chain())
    messages = tuple(message for group in conversation.groups for message in group.messages)
    return ModelCall(
        messages=messages,
        parameters=chat_parameters(request, conversation),
        client_tools=conversation.tools.client_tools,
        native=native_request(request, conversation, messages, conversation.groups),
        client="openai-responses",
        upstream_model="m",
    )


def tools_of(**changes: object) -> ChatTools:
    body = {"model": "large", "input": "Hi"} | changes
    return conversation_of(read_responses_request(body), Chain()).tools


def sent(format: Format, call: ModelCall) -> Object:
    body: Object = json.loads(format.build(call, None).body)
    return body


def test_responses_routes_get_tools_and_items_as_they_were_sent() -> None:
    tools = [FIND, PATCH, WEATHER, *HOSTED]
    given: Object = {
        "tools": tools,
        "tool_choice": {"type": "mcp", "server_label": "s", "name": "n"},
        "include": ["web_search_call.action.sources", "message.output_text.logprobs"],
        "max_tool_calls": 3,
        "parallel_tool_calls": False,
        "service_tier": "flex",
        "reasoning": {"effort": "high", "summary": "auto"},
    }
    call = call_of(input=ITEMS, **given)
    assert OPENAI_RESPONSES.unsupported(call) == ()
    body = sent(OPENAI_RESPONSES, call)
    assert body.pop("input") == ITEMS
    # A stored response keeps the reasoning for those that continue it, so it is always asked for.
    included = [*given.pop("include"), "reasoning.encrypted_content"]
    assert sorted(body.pop("include")) == sorted(included)
    assert body == given | {"model": "m", "store": False, "stream": True}


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "name": "find"},
        {"type": "custom", "name": "apply_patch"},
        {"type": "web_search"},
        {"type": "shell"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "s"}]},
    ],
)
def test_responses_routes_get_the_tool_choice_as_it_was_sent(choice: JSON) -> None:
    call = call_of(tools=[FIND, PATCH, *HOSTED], tool_choice=choice)
    assert sent(OPENAI_RESPONSES, call)["tool_choice"] == choice


def test_responses_routes_get_tools_of_items_only_with_the_items() -> None:
    call = call_of(input=ITEMS)
    assert call.parameters["tools"]
    assert sent(OPENAI_RESPONSES, call).keys() == {"model", "store", "stream", "input"}


@pytest.mark.parametrize("format", OTHER_FORMATS)
def test_other_routes_get_the_functions_of_namespaces_and_of_items(format: Format) -> None:
    body = json.dumps(sent(format, call_of(input=ITEMS, tools=[FIND, PATCH, *HOSTED])))
    for name in ("find", "apply_patch", "mcp__weather__find", "mcp__weather__exec"):
        assert f'"name": "{name}"' in body
    assert "Weather of today." in body
    for word in ("custom", "web_search", "next_month", "shell", "namespace", "encrypted"):
        assert word not in body
    # The history calls them by the same names.
    assert body.count("mcp__weather__find") >= 2
    assert body.count("mcp__weather__exec") >= 2


@pytest.mark.parametrize("format", OTHER_FORMATS)
def test_other_routes_name_what_they_leave_out(format: Format) -> None:
    tools = [FIND, *HOSTED]
    call = call_of(input=ITEMS, tools=tools, include=["x"], reasoning={"summary": "auto"})
    left_out = format.unsupported(call)
    expected = [f"tools[{1 + index}] ({tool['type']})" for index, tool in enumerate(HOSTED)]
    expected += [
        "input[0].tools[1] (web_search)",
        "input[2] (web_search_call)",
        "input[4] (local_shell_call)",
        "input[6] (local_shell_call_output)",
        "input[9] (mcp_approval_response)",
        "input[10] (next_month)",
        "input[11] (compaction)",
        "reasoning.summary",
        "include[0] (x)",
    ]
    assert set(expected) == set(left_out)


def test_tools_in_chat_form() -> None:
    tools = tools_of(tools=[FIND | {"defer_loading": True}, PATCH, WEATHER])
    function = {"name": "find", "parameters": SCHEMA, "strict": False}
    grammar = {"type": "grammar", "grammar": GRAMMAR}
    patch = {"name": "apply_patch", "description": "Patch.", "format": grammar}
    described = {"name": "mcp__weather__find", "description": "Weather of today."}
    assert tools.parameters["tools"] == [
        {"type": "function", "function": function},
        {"type": "custom", "custom": patch},
        {"type": "function", "function": function | described},
        {"type": "custom", "custom": patch | {"name": "mcp__weather__exec"}},
    ]
    extras = '{"namespace":"mcp__weather"}'
    assert tools.client_tools == {
        "apply_patch": ClientTool("apply_patch", "custom"),
        "mcp__weather__find": ClientTool("find", "function", extras),
        "mcp__weather__exec": ClientTool("exec", "custom", extras),
    }
    assert (tools.unexpressed, tools.forced) == ((), False)


def test_names_stay_distinct_and_a_tool_that_comes_twice_is_one() -> None:
    namespaces = [{"type": "namespace", "name": name, "tools": [FIND]} for name in ("a", "a__")]
    plain = FIND | {"name": "a__find"}
    again: Object = {"type": "additional_tools", "tools": [plain, *namespaces]}
    tools = tools_of(input=[again, {"role": "user", "content": "a"}], tools=[*namespaces, plain])
    sent = tools.parameters["tools"]
    assert isinstance(sent, list)
    assert [tool["function"]["name"] for tool in sent] == ["a__find_2", "a__find_3", "a__find"]
    assert {name: tool.extras for name, tool in tools.client_tools.items()} == {
        "a__find_2": '{"namespace":"a"}',
        "a__find_3": '{"namespace":"a__"}',
    }


def test_namespaces_in_namespaces_are_left_out_at_any_depth() -> None:
    tool = WEATHER
    for _ in range(400):
        tool = {"type": "namespace", "name": "n", "tools": [tool]}
    assert tools_of(tools=[tool]).unexpressed == ("tools[0].tools[0] (namespace)",)
    assert sent(OPENAI_RESPONSES, call_of(tools=[tool]))["tools"] == [tool]


def test_fields_that_chat_lacks_are_named() -> None:
    tools = tools_of(tools=[FIND | {"output_schema": {"a": 1}, "async": True}])
    assert set(tools.unexpressed) == {"tools[0].output_schema", "tools[0].async"}
    call = call_of(input=[{"type": "message", "role": "user", "content": "a", "phase": "b"}])
    assert OPENAI_CHAT.unsupported(call) == ("input[0].phase",)
    assert sent(OPENAI_RESPONSES, call)["input"] == [{"role": "user", "content": "a", "phase": "b"}]


SEARCH = {"type": "web_search"}


@pytest.mark.parametrize(
    ("tools", "choice", "expected", "named", "forced"),
    [
        ([FIND], None, None, [], False),
        ([FIND], "required", "required", [], False),
        ([SEARCH], "required", None, [], True),
        ([SEARCH], "auto", None, [], False),
        ([FIND, SEARCH], SEARCH, None, ["tool_choice (web_search)"], True),
        (
            [PATCH],
            {"type": "custom", "name": "apply_patch"},
            {"type": "custom", "custom": {"name": "apply_patch"}},
            [],
            False,
        ),
        (
            [WEATHER],
            {"type": "function", "name": "find", "namespace": "mcp__weather"},
            {"type": "function", "function": {"name": "mcp__weather__find"}},
            [],
            False,
        ),
        (
            [FIND, SEARCH],
            {"type": "allowed_tools", "mode": "auto", "tools": [FIND, SEARCH]},
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "find"}}],
                },
            },
            ["tool_choice.tools[1] (web_search)"],
            False,
        ),
        (
            [FIND, SEARCH],
            {"type": "allowed_tools", "mode": "auto", "tools": [SEARCH]},
            "none",
            ["tool_choice.tools[0] (web_search)"],
            False,
        ),
        (
            [FIND, SEARCH],
            {"type": "allowed_tools", "mode": "required", "tools": [SEARCH]},
            None,
            ["tool_choice.tools[0] (web_search)"],
            True,
        ),
    ],
)
def test_tool_choice_in_chat_form(
    tools: list[Object], choice: JSON, expected: JSON, named: list[str], forced: bool
) -> None:
    found = tools_of(tools=tools, tool_choice=choice)
    assert found.parameters.get("tool_choice") == expected
    assert [path for path in found.unexpressed if path.startswith("tool_choice")] == named
    assert found.forced is forced


def test_choice_of_a_tool_that_items_bring() -> None:
    brought: Object = {"type": "additional_tools", "tools": [WEATHER]}
    choice: Object = {"type": "custom", "name": "exec"}
    items: list[Object] = [brought, {"role": "user", "content": "a"}]
    found = tools_of(input=items, tool_choice=choice)
    assert found.parameters["tool_choice"] == {
        "type": "custom",
        "custom": {"name": "mcp__weather__exec"},
    }
    with pytest.raises(ApiError, match="'exec' is not the name of a tool"):
        tools_of(tools=[FIND], tool_choice=choice)


def test_what_this_server_made_is_not_sent_to_providers() -> None:
    ours = "01m8kket18e95r9ed9wqdnrv11"
    items: list[Object] = [
        {"type": "compaction", "encrypted_content": seal("All was said.")},
        {"type": "web_search_call", "id": f"item_{ours}_in_0"},
        {"type": "reasoning", "id": f"rs_{ours}_1", "summary": []},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"},
        {"type": "message", "id": f"msg_{ours}_2", "role": "assistant", "content": "a"},
        {"role": "user", "content": "b"},
    ]
    call = call_of(input=items)
    assert OPENAI_RESPONSES.unsupported(call) == ("input[2]",)
    assert sent(OPENAI_RESPONSES, call)["input"] == [
        {"role": "user", "content": "Summary of the conversation so far:\n\nAll was said."},
        {"type": "web_search_call"},
        {"type": "reasoning", "summary": [], "encrypted_content": "e"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "b"},
    ]


SEARCH_CALL: Object = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "q"},
}


@pytest.mark.parametrize("prefill", [True, False])
def test_interrupted_answer_is_continued_behind_the_items(prefill: bool) -> None:
    call = call_of(input=ITEMS, tools=[PATCH, SEARCH])
    again = continuation(call, "It ra", prefill=prefill, instruction="Continue.", used_tokens=1)
    body = sent(OPENAI_RESPONSES, again)
    instruction = [] if prefill else [{"role": "user", "content": "Continue."}]
    shown = {"role": "assistant", "content": "It ra"}
    assert body["input"] == [*ITEMS, shown, *instruction]
    assert body["tools"] == [PATCH, SEARCH]


def test_answer_that_the_client_began_is_continued_without_items() -> None:
    begun: list[Object] = [*ITEMS, {"role": "assistant", "content": "It "}]
    call = call_of(input=begun, tools=[PATCH])
    again = continuation(call, "rains", prefill=True, instruction="", used_tokens=1)
    assert again.native is not None
    body = sent(OPENAI_RESPONSES, again)
    last = body["input"][-1]
    assert last == {"role": "assistant", "content": "It rains"}
    assert "mcp__weather__find" in json.dumps(body["tools"])


ANSWER: list[Line] = [
    [ToolCallChunk(0, "c1", "mcp__weather__find", "{}")],
    [ToolCallChunk(1, "c2", "apply_patch", '{"input":"*** ')],
    [ToolCallChunk(1, None, None, 'Begin"}')],
    [NativeItemChunk("openai-responses", json.dumps(SEARCH_CALL))],
    stop(Reason.TOOL_CALLS),
]
CALLS: list[Object] = [
    {"id": "fc_1_0", "type": "function_call", "status": "completed", "call_id": "c1",
     "name": "find", "arguments": "{}", "namespace": "mcp__weather"},
    {"id": "ctc_1_1", "type": "custom_tool_call", "status": "completed", "call_id": "c2",
     "name": "apply_patch", "input": "*** Begin"},
    SEARCH_CALL,
]  # fmt: skip


def outputs() -> list[Object]:
    kinds = ("function_call_output", "custom_tool_call_output")
    return [{"type": kind, "call_id": f"c{n + 1}", "output": "ok"} for n, kind in enumerate(kinds)]


async def stream(harness: EdgeHarness, **changes: object) -> bytes:
    answer = await post_response(harness, stream=True, **changes)
    assert answer.status_code == 200, answer.text
    return answer.content


async def test_calls_come_back_as_the_client_knows_them(autojump_clock: MockClock) -> None:
    tools = [PATCH, WEATHER]
    provider = ScriptedProvider(*ANSWER, then=[Scene(tuple(HELLO))])
    async with open_harness(provider) as harness:
        answer = await create_response(harness, tools=tools)
        assert answer["output"] == CALLS
        assert answer["tools"] == tools
        assert await get_response(harness, "resp_1") == answer
        again = outputs()
        await create_response(harness, input=again, previous_response_id="resp_1", tools=tools)
        assert [message.role for message in last_call(harness).messages] == [
            *("user", "assistant", "tool", "tool"),
        ]
        native = last_call(harness).native
        assert native is not None
        bare = [
            {name: value for name, value in item.items() if name not in ("id", "status")}
            for item in CALLS[:2]
        ]
        assert native.items == ({"role": "user", "content": "Hi"}, *bare, CALLS[2], *again)
        page = (await harness.get("/v1/responses/resp_2/input_items?order=asc")).json()
        assert [item["type"] for item in page["data"]] == [item["type"] for item in again]


async def test_streamed_calls_come_back_as_the_client_knows_them(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(ScriptedProvider(*ANSWER[:3], ANSWER[4])) as harness:
        events = read_stream(await stream(harness, tools=[PATCH, WEATHER]))
        assert events[-1]["response"]["output"] == CALLS[:2]
        pieces = [
            e["delta"] for e in events if e["type"] == "response.custom_tool_call_input.delta"
        ]
        assert pieces == ["*** ", "Begin"]


async def test_client_searches_deferred_tools(autojump_clock: MockClock) -> None:
    search: Object = {"type": "tool_search", "execution": "client", "parameters": SCHEMA}
    made: Line = [ToolCallChunk(0, "c1", "tool_search", '{"q": "weather"}')]
    provider = ScriptedProvider(made, stop(Reason.TOOL_CALLS), then=[Scene(tuple(HELLO))])
    async with open_harness(provider) as harness:
        answer = await create_response(harness, tools=[search])
        function = {"name": "tool_search", "parameters": SCHEMA}
        assert last_call(harness).parameters["tools"] == [
            {"type": "function", "function": function}
        ]
        (call,) = answer["output"]
        assert (call["type"], call["execution"], call["call_id"], call["arguments"]) == (
            *("tool_search_call", "client", "c1"),
            {"q": "weather"},
        )
        output = {"type": "tool_search_output", "call_id": "c1", "execution": "client"}
        found = [output | {"tools": [WEATHER]}]
        for history in (
            {"input": found, "previous_response_id": "resp_1"},
            {"input": [{"role": "user", "content": "Hi"}, call, *found]},
        ):
            await create_response(harness, tools=[search], **history)
            _, asked, result = last_call(harness).messages
            assert isinstance(asked, AssistantMessage)
            assert asked.tool_calls == (ToolCall("c1", "tool_search", '{"q":"weather"}'),)
            assert isinstance(result, ToolMessage)
            assert (result.tool_call_id, result.content) == (
                *("c1", "Found tools:\nmcp__weather__find\nmcp__weather__exec"),
            )
            assert len(last_call(harness).parameters["tools"]) == 3  # type: ignore[arg-type]


def test_search_without_an_output_is_for_routes_that_know_it() -> None:
    search: Object = {"type": "tool_search", "execution": "client", "parameters": SCHEMA}
    call = {"type": "tool_search_call", "call_id": "c1", "execution": "client", "arguments": {}}
    made = call_of(input=[call, {"role": "user", "content": "Hi"}], tools=[search])
    assert [message.role for message in made.messages] == ["user"]
    assert "input[0] (tool_search_call)" in OPENAI_CHAT.unsupported(made)
    assert sent(OPENAI_RESPONSES, made)["input"][0] == call


async def test_tools_brought_by_an_earlier_turn_are_known(autojump_clock: MockClock) -> None:
    brought: Object = {"type": "additional_tools", "role": "developer", "tools": [WEATHER]}
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await create_response(harness, input=[brought, {"role": "user", "content": "a"}])
        choice = {"type": "function", "name": "find"}
        await create_response(harness, input="b", previous_response_id="resp_1", tool_choice=choice)
        parameters = last_call(harness).parameters
        assert len(parameters["tools"]) == 2  # type: ignore[arg-type]
        assert parameters["tool_choice"] == {
            "type": "function",
            "function": {"name": "mcp__weather__find"},
        }


HOSTED_CHOICE = {"type": "web_search_preview"}


async def test_left_out_tools_are_named_or_refused(autojump_clock: MockClock) -> None:
    tools = [FIND, SEARCH]
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        comments = comments_of(await stream(harness, tools=tools))
        assert any("tools[1] (web_search)" in comment for comment in comments)
        for changes in ({"strict": True}, {"tool_choice": HOSTED_CHOICE}):
            answer = await post_response(harness, tools=tools, **changes)
            assert error_of(answer)[:2] == (400, "unsupported_by_route")
            assert "tools[1] (web_search)" in answer.text


async def test_a_forced_tool_goes_to_a_route_that_has_it(autojump_clock: MockClock) -> None:
    chat, native = ScriptedProvider(*HELLO, name="chat"), ScriptedProvider(*HELLO, name="native")
    providers: dict[str, object] = {
        "chat": {"format": "simulated"},
        "native": {"format": "openai-responses", "api_key": "k" * 20},
    }
    async with open_harness(chat, native, providers=providers) as harness:
        await create_response(harness, tools=[SEARCH], tool_choice=HOSTED_CHOICE)
        assert (len(chat.calls), len(native.calls)) == (0, 1)


async def test_compaction_keeps_tools_and_tells_of_other_items(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        answer = await harness.post(
            "/v1/responses/compact", json={"model": "large", "input": ITEMS}
        )
        assert answer.status_code == 200, answer.text
        kept = [item["type"] for item in answer.json()["output"]]
        assert kept == ["additional_tools", "message", "message", "compaction"]
        asked = str(last_call(harness).messages[-1].content)
        assert "assistant calls mcp__weather__exec" in asked
        assert '"type":"local_shell_call"' in asked


def test_long_names_are_shortened_for_responses_routes_and_restored() -> None:
    long = "mcp__plugin_video-strategist_video-analytics__get_video_enhanced_transcript"
    named: list[Object] = [
        {"type": "function", "name": long, "parameters": {}},
        {"type": "custom", "name": f"{long}_patch"},
        {"type": "function", "name": "plain", "parameters": {}},
        {"type": "namespace", "name": "n", "tools": [WEATHER]},
    ]
    made: Object = {"type": "function_call", "call_id": "c", "name": long, "arguments": "{}"}
    result: Object = {"type": "function_call_output", "call_id": "c", "output": "r"}
    chosen = [{"type": "function", "name": long}, {"type": "function", "name": "plain"}]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": chosen}
    call = call_of(input=[made, result], tools=named, tool_choice=choice)
    parts = OPENAI_RESPONSES.build(call, None)
    body = json.loads(parts.body)
    function, custom, plain, namespace = body["tools"]
    assert parts.names == {function["name"]: long, custom["name"]: f"{long}_patch"}
    assert all(len(short) == 64 for short in parts.names)
    assert (plain, namespace) == tuple(named[2:])
    assert body["input"] == [made | {"name": function["name"]}, result]
    assert [one["name"] for one in body["tool_choice"]["tools"]] == [function["name"], "plain"]
