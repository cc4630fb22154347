"""Comparing what a simulated model says over one API with what it says over another."""

from msgspec.structs import replace

from actors.chunks import (
    Chunk,
    FinishChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.providers.base import ModelCall, UpstreamFailure
from actors.providers.formats import Format
from actors.providers.http import HttpProvider, make_client
from tests.actors.providers.playing import played
from tests.live.harness import Process

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
NAMES = [
    *("tokens=30", "tokens=5000,delay=0,chunk=50", "unicode", "count", "echo", "chunk=4"),
    *("reasoning=3", "refusal", "tool", "tool=3,chunk=3", "reasoning=2,tool", "filter=3"),
    *("nousage", "nodone", "nodone,nousage", "hang", "hang,nousage", "badjson=3", "head=20ms"),
    *("error=400", "error=401", "error=402", "error=403", "error=503", "error=529", "oops"),
    *("html", "html=502", "refuse", "garbage", "cut=0", "cut=3", "break=3", "reset=3", "end=0"),
    *("end=3", "noise=3", "torn=3"),
]
"""Settings of simulated models that every API can say."""


async def play(
    upstream: Process, format: Format, path: str, call: ModelCall
) -> tuple[list[Chunk], UpstreamFailure | None]:
    """The chunks of the witness's answer, and how it failed if it did."""
    url = f"http://127.0.0.1:{upstream.port}{path}"
    async with make_client(url) as client:
        return await played(HttpProvider("up", url, "key", client, format=format), call)


def compared(chunks: list[Chunk], *, ids: bool = True) -> tuple[list[Chunk], list[Chunk]]:
    """What was said, in order, and what was told of it at the end, in any order.

    Without `ids` those of calls do not count, which some APIs make up.
    """
    said: list[Chunk] = []
    last: list[Chunk] = []
    for chunk in chunks:
        before = said[-1] if said else None
        match chunk:
            case FinishChunk() | UsageChunk():
                last.append(chunk)
            case ToolCallChunk(id=None) if isinstance(before, ToolCallChunk):
                said[-1] = replace(before, arguments=before.arguments + chunk.arguments)
            case ToolCallChunk() if not ids:
                said.append(replace(chunk, id=None))
            case RefusalChunk(text):  # there are none apart from the text
                said.append(TextChunk(text))
            case SkippedChunk():  # malformed in its own way in each format
                said.append(SkippedChunk(""))
            case _:
                said.append(chunk)
    return said, sorted(last, key=str)
