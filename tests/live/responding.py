"""The Responses surface by hand, and what the official SDK is configured with."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import openai

from tests.live.client import JSON, Call, Door, calling
from tests.live.harness import Process

_JSON_TYPE = (("Content-Type", "application/json"),)


@asynccontextmanager
async def responding(server: Door, model: str, **changes: object) -> AsyncIterator[Call]:
    """A streamed response that was asked for; nothing of it is read yet."""
    body = {"model": model, "input": "Who is on stage?", "stream": True} | changes
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


@contextmanager
def sdk(server: Process) -> Iterator[openai.OpenAI]:
    """The SDK, which must not try again behind our back."""
    url = f"http://127.0.0.1:{server.port}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


@asynccontextmanager
async def async_sdk(server: Process) -> AsyncIterator[openai.AsyncOpenAI]:
    """The same for an event loop, asyncio's or trio's."""
    url = f"http://127.0.0.1:{server.port}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client
