"""Parses raw event streams into numbered frames, skipping what has no number."""

import json
import re
from typing import NamedTuple

_FRAME = re.compile(
    rb"id: (?P<id>[^\n]*)\n(?:event: (?P<event>[^\n]*)\n)?data: (?P<data>[^\n]*)\n\n"
)
_UNNUMBERED = re.compile(rb"(?::[^\n]*\n|event: ping\ndata: [^\n]*\n\n|data: \[DONE\]\n\n)*")
"""Comments, pings of Messages, and the end of Responses; the end of a chat has a number."""


class Frame(NamedTuple):
    """One numbered frame, byte for byte."""

    id: str
    raw: bytes
    data: bytes
    event: str = ""
    """The SSE event name; empty in dialects that do not name events."""

    @property
    def text(self) -> str:
        """The visible text of a chat completion frame."""
        if self.data == b"[DONE]":
            return ""
        choices = json.loads(self.data).get("choices")
        return (choices[0]["delta"].get("content") or "") if choices else ""


def read_frames(body: bytes, *, allow_partial: bool = False) -> list[Frame]:
    """Return all frames of a stream; assert that it has only frames, comments and pings.

    `allow_partial` permits an incomplete frame at the end.
    """
    frames: list[Frame] = []
    at = _skip(body, 0)
    while match := _FRAME.match(body, at):
        event = (match["event"] or b"").decode()
        frames.append(Frame(match["id"].decode(), match[0], match["data"], event))
        at = _skip(body, match.end())
    assert allow_partial or at == len(body), body[at:]
    return frames


def text_of(frames: list[Frame]) -> str:
    """Return the text that a client of these frames has received."""
    return "".join(frame.text for frame in frames)


def raw(frames: list[Frame]) -> bytes:
    """Return the frames' bytes."""
    return b"".join(frame.raw for frame in frames)


def error_of(frames: list[Frame]) -> dict[str, object]:
    """Return the error that ended a stream; assert that `[DONE]` was not sent."""
    assert all(frame.data != b"[DONE]" for frame in frames)
    error = json.loads(frames[-1].data)["error"]
    assert isinstance(error, dict)
    return error


def _skip(body: bytes, at: int) -> int:
    match = _UNNUMBERED.match(body, at)
    return match.end() if match else at
