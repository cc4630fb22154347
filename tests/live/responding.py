"""The Responses surface by hand, and what is asked and heard there through the official SDK."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openai.types.responses import FunctionToolParam, Response

from tests.live.client import JSON, Call, Door, calling

QUESTION = "Who is on stage?"
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
_JSON_TYPE = (("Content-Type", "application/json"),)


@asynccontextmanager
async def responding(server: Door, model: str, **changes: object) -> AsyncIterator[Call]:
    """A streamed response that was asked for; nothing of it is read yet."""
    body = {"model": model, "input": QUESTION, "stream": True} | changes
    async with calling(server.port, host=server.host) as call:
        await call.ask("POST", "/v1/responses", json.dumps(body).encode(), _JSON_TYPE)
        yield call


@asynccontextmanager
async def retrieving(
    server: Door, id: str, *, last_id: str | None = None, after: str | None = None
) -> AsyncIterator[Call]:
    """The events of a response, after `Last-Event-ID: last_id` or `?starting_after=after`."""
    target = f"/v1/responses/{id}?stream=true" + (f"&starting_after={after}" if after else "")
    async with calling(server.port, host=server.host) as call:
        await call.ask("GET", target, headers=(("Last-Event-ID", last_id),) if last_id else ())
        await call.head()
        yield call


async def respond(server: Door, model: str, **changes: object) -> JSON:
    """A whole response."""
    async with responding(server, model, stream=False, **changes) as call:
        status = await call.head()
        document = json.loads(await call.rest())
    assert status == 200, document
    assert isinstance(document, dict)
    return document


def id_of(call: Call) -> str:
    """The id of the response that this call got."""
    return "resp_" + call.turn_id.removeprefix("turn_")


def told(response: Response, *, call_ids: bool = False) -> list[tuple[str, ...]]:
    """What an answer says, without ids, but for `call_ids` where they are wanted."""
    said: list[tuple[str, ...]] = []
    for item in response.output:
        if item.type == "message":
            for part in item.content:
                text = part.text if part.type == "output_text" else part.refusal
                said.append((part.type, text))
        elif item.type == "reasoning":
            said += [("reasoning", part.text) for part in item.summary]
        elif item.type == "function_call":
            id = (item.call_id,) if call_ids else ()
            said.append(("call", *id, item.name, item.arguments))
    return said
