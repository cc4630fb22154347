"""The Messages surface by hand, and what the official SDK is configured with."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anthropic

from tests.live.client import QUESTION, Call, Door, calling
from tests.live.harness import Process

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
