"""The Messages surface by hand, and through the official SDK."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anthropic
from anthropic import Stream
from anthropic.types import Message, MessageParam, RawMessageStreamEvent, ToolParam

from tests.live.client import Call, Door, calling
from tests.live.harness import Process
from tests.web.dialects.strict import strictly

QUESTION: list[MessageParam] = [{"role": "user", "content": "Who is on stage?"}]
WEATHER: ToolParam = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
MOST = 2000
"""Tokens that answers may have where a test does not say otherwise."""


@asynccontextmanager
async def messaging(server: Door, model: str, **changes: object) -> AsyncIterator[Call]:
    """A streamed message that was asked for; nothing of the answer is read yet."""
    body = {"model": model, "max_tokens": MOST, "messages": QUESTION, "stream": True} | changes
    async with calling(server.port, host=server.host) as call:
        json_type = (("Content-Type", "application/json"),)
        await call.ask("POST", "/v1/messages", json.dumps(body).encode(), json_type)
        yield call


@contextmanager
def sdk(server: Process) -> Iterator[anthropic.Anthropic]:
    """The SDK, which must not try again behind our back."""
    url = f"http://127.0.0.1:{server.port}"
    with anthropic.Anthropic(base_url=url, api_key="whatever", max_retries=0) as client:
        yield client


@asynccontextmanager
async def async_sdk(server: Process) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """The same for an event loop, asyncio's or trio's."""
    url = f"http://127.0.0.1:{server.port}"
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def streamed(client: anthropic.Anthropic, model: str, **more: Any) -> list[Any]:
    """The events of a stream, each of them checked, as the SDK's types; pings apart."""
    found: list[Any] = []
    with client.messages.with_streaming_response.create(
        **{"model": model, "max_tokens": MOST, "messages": QUESTION, "stream": True, **more}
    ) as response:
        for event in Stream.raw_events(response.http_response):
            if event.event == "ping":
                assert event.json() == {"type": "ping"}, event
                continue
            found.append(strictly(RawMessageStreamEvent, event.data))
            assert event.event == found[-1].type, event
    return found


def whole(client: anthropic.Anthropic, model: str, **more: Any) -> Message:
    """A whole message, checked."""
    raw = client.messages.with_raw_response.create(
        **{"model": model, "max_tokens": MOST, "messages": QUESTION, **more}
    )
    message = strictly(Message, raw.http_response.content)
    assert message == raw.parse(), message
    assert isinstance(message, Message)
    return message


def text_of(message: Message) -> str:
    """What the blocks of text say."""
    return "".join(block.text for block in message.content if block.type == "text")
