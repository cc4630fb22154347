"""Checks the answer that a client received against the text that the upstream sent."""

import msgspec

from bench.spec import Spec, text
from bench.surfaces import SURFACES, Name


class Answer:
    """An answer in progress: counts frames and tokens, and keeps the text."""

    def __init__(self, spec: Spec, *, stream: bool = True, surface: Name = "chat") -> None:
        self.spec = spec
        self._surface = SURFACES[surface]
        self.chunks = 0
        """Number of tokens received so far."""
        self.frames = 0
        """Number of SSE data events received so far; fewer than tokens if a relay merges them."""
        self.has_usage = False
        self._stream = stream
        self._parts: list[bytes] = []
        self._rest = b""
        self._finished = False
        self._done = False

    @property
    def text(self) -> bytes:
        """The text received so far."""
        return b"".join(self._parts)

    def feed(self, body: bytes) -> None:
        """Process the next bytes of the body."""
        if self._stream:
            ready, separator, self._rest = (self._rest + body).rpartition(b"\n\n")
            if separator:
                self._frames(ready + separator)
        else:
            self._rest += body

    def end(self) -> None:
        """Process the end of the body."""
        if not self._stream and self._rest:
            self._take(self._rest)
            self._done = True

    def problem(self) -> str | None:
        """Return why this is not the complete answer that was sent, or None if it is."""
        expected = text(self.spec.seed, self.spec.chunks)
        if self.text != expected:
            return f"text differs from what was sent: {_difference(self.text, expected)}"
        if not self._finished:
            return "no finish reason"
        if not self._done:
            return f"no {self._surface.done.decode()!r}"
        return None if self.has_usage else "no usage"

    def prefix_problem(self) -> str | None:
        """Return why this is not a prefix of the answer that was sent, or None if it is."""
        expected = text(self.spec.seed, self.spec.chunks)
        if expected.startswith(self.text):
            return None
        return f"text differs from what was sent: {_difference(self.text, expected)}"

    def _frames(self, ready: bytes) -> None:
        self.frames += ready.count(b"data: {")
        self._take(ready)
        self._done = self._done or self._surface.done in ready

    def _take(self, json: bytes) -> None:
        surface = self._surface
        piece = b"".join((surface.delta if self._stream else surface.whole).findall(json))
        if b"\\" in piece:
            piece = msgspec.json.decode(b'"' + piece + b'"', type=str).encode()
        self._parts.append(piece)
        self.chunks += piece.count(b" ")
        self._finished = self._finished or surface.finish.search(json) is not None
        self.has_usage = self.has_usage or surface.usage in json


def _difference(got: bytes, expected: bytes) -> str:
    """Describe the first difference of two texts."""
    same = 0
    for ours, theirs in zip(got, expected, strict=False):
        if ours != theirs:
            break
        same += 1
    found, wanted = got[same : same + 20], expected[same : same + 20]
    return (
        f"{len(got.split())} of {len(expected.split())} tokens, at byte {same} "
        f"{found!r} instead of {wanted!r}"
    )
