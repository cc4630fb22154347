"""Custom tools and namespaces with the official `openai` SDK, with upstreams of every format."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.live.call_recorder import BASE_PATHS, IN_PROCESS, serving_all_formats
from tests.support.live.harness import Process, Server
from tests.support.live.openai_clients import sdk

FORMATS = [IN_PROCESS, *BASE_PATHS]
SETTINGS = "first=0,delay=0"
SCHEMA: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}}
PATCH: Any = {"type": "custom", "name": "patch", "description": "Patch it."}
FUNCTION: Any = {"type": "function", "name": "weather", "parameters": SCHEMA}
NAMESPACE: Any = {"type": "namespace", "name": "mcp__a", "description": "A.", "tools": [FUNCTION]}
QUESTION: Any = {"role": "user", "content": "Weather?"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """Run a server with a provider for each format."""
    with serving_all_formats(tmp_path_factory.mktemp("custom_tools"), upstream.port) as process:
        yield process


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    """Open the synchronous SDK client."""
    with sdk(server) as client:
        yield client


@pytest.mark.parametrize("format", FORMATS)
def test_calls_in_responses_and_their_outputs(client: openai.OpenAI, format: str) -> None:
    asked: Any = {"model": f"{format}/sim:{SETTINGS},tool=2", "tools": [PATCH, NAMESPACE]}
    with client.responses.stream(input=[QUESTION], **asked) as stream:
        stream.until_done()
        streamed = stream.get_final_response()
    first = client.responses.create(input=[QUESTION], **asked)
    for response in (streamed, first):
        output: Any = response.output
        patch, weather = output
        assert patch.type == "custom_tool_call"
        assert weather.type == "function_call"
        assert (patch.name, weather.name, weather.namespace) == ("patch", "weather", "mcp__a")
        assert patch.input
        assert "{" not in patch.input
    outputs: Any = [
        {"type": "custom_tool_call_output", "call_id": patch.call_id, "output": "Done."},
        {"type": "function_call_output", "call_id": weather.call_id, "output": "It rains."},
    ]
    calls: Any = [item.model_dump(exclude_unset=True) for item in first.output]
    references: Any = [{"type": "item_reference", "id": item.id} for item in first.output]
    answers = [
        client.responses.create(input=outputs, previous_response_id=first.id, **asked),
        client.responses.create(input=[QUESTION, *calls, *outputs], **asked),
        client.responses.create(input=[QUESTION, *references, *outputs], **asked),
    ]
    assert answers[0].output_text
    assert len({answer.output_text for answer in answers}) == 1


@pytest.mark.parametrize("format", FORMATS)
def test_calls_in_chat_and_their_results(client: openai.OpenAI, format: str) -> None:
    custom = {key: value for key, value in PATCH.items() if key != "type"}
    asked: Any = {
        "model": f"{format}/sim:{SETTINGS},tool",
        "tools": [{"type": "custom", "custom": custom}],
    }
    whole = client.chat.completions.create(messages=[QUESTION], **asked).choices[0]
    (call,) = whole.message.tool_calls or []
    assert call.type == "custom"
    assert (call.custom.name, whole.finish_reason) == ("patch", "tool_calls")
    assert call.custom.input
    assert "{" not in call.custom.input
    pieces: list[Any] = [
        piece
        for chunk in client.chat.completions.create(messages=[QUESTION], stream=True, **asked)
        for choice in chunk.choices
        for piece in choice.delta.tool_calls or []
    ]
    assert {piece.type for piece in pieces if piece.id} == {"custom"}
    assert "".join(piece.custom["input"] for piece in pieces) == call.custom.input
    answered: Any = [whole.message, {"role": "tool", "tool_call_id": call.id, "content": "Done."}]
    again = client.chat.completions.create(messages=[QUESTION, *answered], **asked)
    assert again.choices[0].finish_reason == "stop"
