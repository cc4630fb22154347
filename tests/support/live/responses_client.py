"""Requests to the Responses API on raw sockets, with test data for the `openai` SDK."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openai.types.responses import FunctionToolParam, Response

from tests.support.live.http_client import JSON, Call, Endpoint, calling

QUESTION = "Who is on stage?"
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
_JSON_TYPE = (("Content-Type", "application/json"),)


@asynccontextmanager
async def open_response(server: Endpoint, model: str, **changes: object) -> AsyncIterator[Call]:
    """Request a streamed response without reading any of it."""
    body = {"model": model, "input": QUESTION, "stream": True} | changes
    async with calling(server.port, host=server.host) as call:
        await call.request("POST", "/v1/responses", json.dumps(body).encode(), _JSON_TYPE)
        yield call


@asynccontextmanager
async def open_response_events(
    server: Endpoint, id: str, *, last_id: str | None = None, after: str | None = None
) -> AsyncIterator[Call]:
    """Request a response's events from `Last-Event-ID: last_id` or `?starting_after=after` on."""
    target = f"/v1/responses/{id}?stream=true" + (f"&starting_after={after}" if after else "")
    async with calling(server.port, host=server.host) as call:
        await call.request("GET", target, headers=(("Last-Event-ID", last_id),) if last_id else ())
        await call.head()
        yield call


async def create_response(server: Endpoint, model: str, **changes: object) -> JSON:
    """Create a response without streaming and return it."""
    async with open_response(server, model, stream=False, **changes) as call:
        status = await call.head()
        document = json.loads(await call.read_all())
    assert status == 200, document
    assert isinstance(document, dict)
    return document


def id_of(call: Call) -> str:
    """Return the id of the response that a call received."""
    return "resp_" + call.turn_id.removeprefix("turn_")


def output_summary(response: Response, *, call_ids: bool = False) -> list[tuple[str, ...]]:
    """Return the content of each output item, without ids; `call_ids` adds those of calls."""
    summary: list[tuple[str, ...]] = []
    for item in response.output:
        if item.type == "message":
            for part in item.content:
                text = part.text if part.type == "output_text" else part.refusal
                summary.append((part.type, text))
        elif item.type == "reasoning":
            summary += [("reasoning", part.text) for part in item.summary]
        elif item.type == "function_call":
            id = (item.call_id,) if call_ids else ()
            summary.append(("call", *id, item.name, item.arguments))
    return summary
