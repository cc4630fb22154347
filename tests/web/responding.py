"""What tests of the Responses surface say to a house, and how they read what comes back."""

import json
from typing import Any

import httpx

from actors.chunks import FinishChunk, ReasoningChunk, ToolCallChunk
from actors.outcome import Reason
from actors.providers.base import ModelCall
from tests.actors.fakes import Line, stop, text
from tests.web.dialects.responses_stream import read_object
from tests.web.house import House

HELLO: list[Line] = [text("Hel"), text("lo"), stop()]
WEATHER: dict[str, object] = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object"},
}
CALLING: list[Line] = [
    [ReasoningChunk("Hm.")],
    text("Let me see."),
    [ToolCallChunk(0, "call_a", "weather", '{"city":'), ToolCallChunk(0, None, None, '"Rome"}')],
    [FinishChunk(Reason.TOOL_CALLS)],
]
Object = dict[str, Any]


async def respond(house: House, **changes: object) -> httpx.Response:
    """A response that is asked for, and whatever comes of it, read to its end."""
    return await house.post("/v1/responses", json={"model": "large", "input": "Hi"} | changes)


async def responded(house: House, **changes: object) -> Object:
    """The object of a response that went well."""
    answer = await respond(house, **changes)
    assert answer.status_code == 200, answer.text
    read_object(answer.content)
    return json.loads(answer.content)  # type: ignore[no-any-return]


async def shown(house: House, id: str) -> Object:
    """A response as GET tells it."""
    answer = await house.get(f"/v1/responses/{id}")
    assert answer.status_code == 200, answer.text
    read_object(answer.content)
    return json.loads(answer.content)  # type: ignore[no-any-return]


def error_of(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    """Status, code and param of an error."""
    body = answer.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return answer.status_code, error["code"], error["param"]


def asked(house: House, provider: str = "main") -> ModelCall:
    """The last call that a provider got."""
    call, _ = house.theatre.providers[provider].calls[-1]
    return call


def output(call_id: str = "call_a", text: str = "Rain.") -> Object:
    """What a function gave."""
    return {"type": "function_call_output", "call_id": call_id, "output": text}
