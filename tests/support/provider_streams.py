"""Small streams of each format, and the chunks that its decoder makes of them."""

import json
from typing import Any

from actors.turn.chunks import Chunk
from web.config.provider_settings import formats


def sse(*frames: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames)


def blocks(*content: dict[str, Any], reason: str = "tool_use") -> bytes:
    """Return the stream of a message with these blocks, each whole in its start."""
    starts = [
        event
        for index, block in enumerate(content)
        for event in (
            {"type": "content_block_start", "index": index, "content_block": block},
            {"type": "content_block_stop", "index": index},
        )
    ]
    return sse(*starts, {"type": "message_delta", "delta": {"stop_reason": reason}})


def parts(*content: dict[str, Any]) -> bytes:
    candidate = {"content": {"role": "model", "parts": content}, "finishReason": "STOP"}
    return sse({"candidates": [candidate]})


def output(*items: dict[str, Any]) -> bytes:
    response = {"status": "completed", "output": items}
    return sse({"type": "response.completed", "response": response})


def deltas(*pieces: dict[str, Any]) -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": piece}]} for piece in pieces]
    return sse(*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})


def chunks_of(format: str, stream: bytes) -> list[Chunk]:
    decoder = formats()[format].format.stream_decoder(str)
    return [*decoder.feed(stream), *decoder.end()]
