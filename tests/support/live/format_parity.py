"""Compares the answers of a simulated model across provider APIs."""

from msgspec.structs import replace

from actors.providers.formats.base import Format
from actors.providers.http.provider import HttpProvider, make_client
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningStateChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.model_call import ModelCall, UpstreamFailure
from tests.support.live.harness import Process
from tests.support.provider_answers import receive_all
from tests.support.scripted_connections import credentials_of

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {}}}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CHAT: list[dict[str, object]] = [
    {"role": "system", "content": "You are a stage."},
    {"role": "user", "content": "Who is on?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "Nobody."},
    {"role": "assistant", "content": "Nobody is."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "And who is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ],
    },
]
PORTABLE_SETTINGS = [
    *("tokens=30", "tokens=5000,delay=0,chunk=50", "unicode", "count", "echo", "chunk=4"),
    *("reasoning=3", "refusal", "tool", "tool=3,chunk=3", "reasoning=2,tool", "filter=3"),
    *("nousage", "nodone", "nodone,nousage", "hang", "hang,nousage", "badjson=3", "head=20ms"),
    *("error=400", "error=401", "error=402", "error=403", "error=503", "error=529", "oops"),
    *("html", "html=502", "refuse", "garbage", "cut=0", "cut=3", "break=3", "reset=3", "end=0"),
    *("end=3", "noise=3", "torn=3"),
]
"""Settings of simulated models that every API can express."""


async def collect_chunks(
    upstream: Process, format: Format, path: str, call: ModelCall
) -> tuple[list[Chunk], UpstreamFailure | None]:
    """Return the chunks of the simulated provider's answer, and its failure if any."""
    url = f"http://127.0.0.1:{upstream.port}{path}"
    async with make_client(url) as client:
        return await receive_all(
            HttpProvider("up", url, credentials_of("key"), client, format=format), call
        )


def normalised(chunks: list[Chunk], *, ids: bool = True) -> tuple[list[Chunk], list[Chunk]]:
    """Return the content chunks in order and the final metadata chunks sorted.

    Pass `ids=False` to ignore the ids of tool calls, which some APIs make up.
    """
    content: list[Chunk] = []
    metadata: list[Chunk] = []
    for chunk in chunks:
        previous = content[-1] if content else None
        match chunk:
            case FinishChunk() | UsageChunk():
                metadata.append(chunk)
            case ToolCallChunk(index, id=None) if (
                isinstance(previous, ToolCallChunk) and previous.index == index
            ):
                content[-1] = replace(previous, arguments=previous.arguments + chunk.arguments)
            case ToolCallChunk() if not ids:
                content.append(replace(chunk, id=None))
            case RefusalChunk(text):  # not every API separates refusals from text
                content.append(TextChunk(text))
            case ReasoningStateChunk():  # not every API signs reasoning
                continue
            case SkippedChunk():  # each format words a malformed event differently
                content.append(SkippedChunk(""))
            case _:
                content.append(chunk)
    return content, sorted(metadata, key=str)
