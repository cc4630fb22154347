"""Clients of the official `openai` SDK, with test data for Chat Completions."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import openai
from openai.types.chat import (
    ChatCompletionFunctionToolParam,
    ChatCompletionMessage,
    ChatCompletionMessageParam,
)

from tests.support.live.harness import Process

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
    """Open the synchronous SDK client, with its own retries disabled."""
    url = f"http://127.0.0.1:{server.port}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


@asynccontextmanager
async def async_sdk(server: Process) -> AsyncIterator[openai.AsyncOpenAI]:
    """Open the asynchronous SDK client, for asyncio or trio, with its own retries disabled."""
    url = f"http://127.0.0.1:{server.port}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def function_calls(message: ChatCompletionMessage) -> list[tuple[str, str]]:
    """Return the name and arguments of each tool call in a message."""
    return [
        (call.function.name, call.function.arguments)
        for call in message.tool_calls or []
        if call.type == "function"
    ]
