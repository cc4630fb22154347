"""Requests to the Messages API, on raw sockets and through the `anthropic` SDK."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anthropic
from anthropic import Stream
from anthropic.types import Message, MessageParam, RawMessageStreamEvent, ToolParam

from tests.support.live.harness import Process
from tests.support.live.http_client import Call, Endpoint, calling
from tests.support.strict_types import strictly

QUESTION: list[MessageParam] = [{"role": "user", "content": "Who is on stage?"}]
WEATHER: ToolParam = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
DEFAULT_MAX_TOKENS = 2000
"""Default `max_tokens` of a request."""


@asynccontextmanager
async def open_message(server: Endpoint, model: str, **changes: object) -> AsyncIterator[Call]:
    """Request a streamed message without reading any of it."""
    body = {
        "model": model,
        "max_tokens": DEFAULT_MAX_TOKENS,
        "messages": QUESTION,
        "stream": True,
    } | changes
    async with calling(server.port, host=server.host) as call:
        json_type = (("Content-Type", "application/json"),)
        await call.request("POST", "/v1/messages", json.dumps(body).encode(), json_type)
        yield call


@contextmanager
def sdk(server: Process) -> Iterator[anthropic.Anthropic]:
    """Open the synchronous SDK client, with its own retries disabled."""
    url = f"http://127.0.0.1:{server.port}"
    with anthropic.Anthropic(base_url=url, api_key="whatever", max_retries=0) as client:
        yield client


@asynccontextmanager
async def async_sdk(server: Process) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Open the asynchronous SDK client, for asyncio or trio, with its own retries disabled."""
    url = f"http://127.0.0.1:{server.port}"
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def stream_events(client: anthropic.Anthropic, model: str, **more: Any) -> list[Any]:
    """Return a stream's events as strictly validated SDK types, without pings."""
    found: list[Any] = []
    with client.messages.with_streaming_response.create(
        **{
            "model": model,
            "max_tokens": DEFAULT_MAX_TOKENS,
            "messages": QUESTION,
            "stream": True,
            **more,
        }
    ) as response:
        for event in Stream.raw_events(response.http_response):
            if event.event == "ping":
                assert event.json() == {"type": "ping"}, event
                continue
            found.append(strictly(RawMessageStreamEvent, event.data))
            assert event.event == found[-1].type, event
    return found


def create_message(client: anthropic.Anthropic, model: str, **more: Any) -> Message:
    """Create a message without streaming and return it strictly validated."""
    raw = client.messages.with_raw_response.create(
        **{"model": model, "max_tokens": DEFAULT_MAX_TOKENS, "messages": QUESTION, **more}
    )
    message = strictly(Message, raw.http_response.content, {"warnings"})
    assert message == raw.parse(), message
    assert isinstance(message, Message)
    return message


def text_of(message: Message) -> str:
    """Return the joined text of the text blocks."""
    return "".join(block.text for block in message.content if block.type == "text")
