"""Requests to the Responses API and readers of its answers."""

import json
from typing import Any

import httpx

from actors.turn.chat_messages import write_messages
from actors.turn.chunks import FinishChunk, ReasoningChunk, ToolCallChunk
from actors.turn.model_call import ModelCall
from actors.turn.outcome import Reason
from tests.support.edge_harness import EdgeHarness
from tests.support.responses_readers import read_object
from tests.support.turn_fakes import Line, stop, text

HELLO: list[Line] = [text("Hel"), text("lo"), stop()]
WEATHER_TOOL: dict[str, object] = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object"},
}
TOOL_CALL_ANSWER: list[Line] = [
    [ReasoningChunk("Hm.")],
    text("Let me see."),
    [ToolCallChunk(0, "call_a", "weather", '{"city":'), ToolCallChunk(0, None, None, '"Rome"}')],
    [FinishChunk(Reason.TOOL_CALLS)],
]
Object = dict[str, Any]


async def post_response(harness: EdgeHarness, **changes: object) -> httpx.Response:
    """POST a request and read the answer to its end, whatever its status."""
    return await harness.post("/v1/responses", json={"model": "large", "input": "Hi"} | changes)


async def create_response(harness: EdgeHarness, **changes: object) -> Object:
    """Create a response and return its object; fail unless the status is 200."""
    answer = await post_response(harness, **changes)
    assert answer.status_code == 200, answer.text
    read_object(answer.content)
    return json.loads(answer.content)  # type: ignore[no-any-return]


async def get_response(harness: EdgeHarness, id: str) -> Object:
    """Return a response object as GET shows it."""
    answer = await harness.get(f"/v1/responses/{id}")
    assert answer.status_code == 200, answer.text
    read_object(answer.content)
    return json.loads(answer.content)  # type: ignore[no-any-return]


def error_of(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    """Return status, code and param of an error."""
    body = answer.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return answer.status_code, error["code"], error["param"]


def last_call(harness: EdgeHarness, provider: str = "main") -> ModelCall:
    """Return the last call that a provider received."""
    call, _ = harness.turns.providers[provider].calls[-1]
    return call


def last_messages(harness: EdgeHarness) -> list[tuple[object, object]]:
    """Return role and content of each message of the last model call."""
    return [
        (message["role"], message["content"])
        for message in write_messages(last_call(harness).messages)
    ]


def function_output(call_id: str = "call_a", text: str = "Rain.") -> Object:
    """Return the output item of a function call."""
    return {"type": "function_call_output", "call_id": call_id, "output": text}
