"""The official `openai` SDK: how it is configured, and what is asked of Chat Completions by it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import openai
from openai.types.chat import (
    ChatCompletionFunctionToolParam,
    ChatCompletionMessage,
    ChatCompletionMessageParam,
)

from tests.live.harness import Process

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Who is on stage?"}]
WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


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


def function_calls(message: ChatCompletionMessage) -> list[tuple[str, str]]:
    """Names and arguments of the calls in a message."""
    return [
        (call.function.name, call.function.arguments)
        for call in message.tool_calls or []
        if call.type == "function"
    ]
