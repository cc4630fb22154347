"""Event streams as raw bytes: numbered frames, and the comments and pings between them."""

import json
import re
from typing import NamedTuple

_FRAME = re.compile(
    rb"id: (?P<id>[^\n]*)\n(?:event: (?P<event>[^\n]*)\n)?data: (?P<data>[^\n]*)\n\n"
)
_UNNUMBERED = re.compile(rb"(?::[^\n]*\n|event: ping\ndata: [^\n]*\n\n)*")


class Frame(NamedTuple):
    """A numbered frame as it was sent."""

    id: str
    raw: bytes
    data: bytes
    event: str = ""
    """Its name, in dialects whose frames have one."""

    @property
    def text(self) -> str:
        """The visible text in it."""
        if self.data == b"[DONE]":
            return ""
        choices = json.loads(self.data).get("choices")
        return (choices[0]["delta"].get("content") or "") if choices else ""


def read_frames(body: bytes, *, cut: bool = False) -> list[Frame]:
    """All frames of a stream; asserts that there is nothing else but comments and pings.

    `cut` allows the last of them to be a part of one.
    """
    frames: list[Frame] = []
    at = _skip(body, 0)
    while match := _FRAME.match(body, at):
        event = (match["event"] or b"").decode()
        frames.append(Frame(match["id"].decode(), match[0], match["data"], event))
        at = _skip(body, match.end())
    assert cut or at == len(body), body[at:]
    return frames


def text_of(frames: list[Frame]) -> str:
    """The text that a client of these frames has."""
    return "".join(frame.text for frame in frames)


def raw(frames: list[Frame]) -> bytes:
    """The frames' bytes."""
    return b"".join(frame.raw for frame in frames)


def error_of(frames: list[Frame]) -> dict[str, object]:
    """The error in which a stream ended; asserts that nothing says that it is whole."""
    assert all(frame.data != b"[DONE]" for frame in frames)
    error = json.loads(frames[-1].data)["error"]
    assert isinstance(error, dict)
    return error


def _skip(body: bytes, at: int) -> int:
    match = _UNNUMBERED.match(body, at)
    return match.end() if match else at
