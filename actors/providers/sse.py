"""Parses server-sent events, sans IO.

Specification: https://html.spec.whatwg.org/multipage/server-sent-events.html. `id` and `retry` only
matter to a reader that reconnects, so they are ignored like unknown fields.
"""

from msgspec import Struct

_BOM = b"\xef\xbb\xbf"
MAX_EVENT = 8 * 1024 * 1024
"""Maximum number of bytes of one event; a larger one fails the stream."""


class SseEvent(Struct, frozen=True, gc=False):
    """One event; `name` is empty if the event has no `event` field."""

    data: bytes
    name: bytes = b""


class EventTooLarge(Exception):
    """Raised when an event exceeds the size limit."""


class SseDecoder:
    """A decoder of a stream into events. Lines end in LF, CR or CRLF; reads may cut them."""

    __slots__ = ("_after_cr", "_buffered", "_buffered_size", "_max_event", "_start")

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._max_event = max_event
        self._buffered: list[bytes] = []
        """Pieces of an incomplete event; joining them at every read would be quadratic."""
        self._buffered_size = 0
        self._after_cr = False
        self._start: bytes | None = b""
        """First bytes of the stream while they may be a byte order mark; None afterwards."""

    def feed(self, data: bytes) -> list[SseEvent]:
        """Return the events that `data` completes.

        Raises `EventTooLarge`; if this call has events to return, the next call raises it.
        """
        self._check(self._buffered_size)
        if self._start is not None:
            data = self._without_bom(data)
        if self._after_cr or b"\r" in data:
            data = self._with_lf(data)
        events: list[SseEvent] = []
        for block in self._blocks(data):
            # Fast path: nearly all events are a single `data` line.
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(SseEvent(block[6:]))
            elif (event := _parse(block)) is not None:
                events.append(event)
        # If there are events to return, the next call raises instead.
        if not events:
            self._check(self._buffered_size)
        return events

    def _blocks(self, data: bytes) -> list[bytes]:
        """Return the lines of each event that is complete now; buffer the rest."""
        if self._buffered:
            if not self._completes(data):
                self._buffer(data)
                return []
            data = b"".join((*self._buffered, data))
            self._buffered.clear()
            self._buffered_size = 0
        blocks = data.split(b"\n\n")
        self._buffer(blocks.pop())
        if len(data) > self._max_event:
            self._check(max(map(len, blocks), default=0))
        return blocks

    def end(self) -> list[SseEvent]:
        """Return the last event if the stream ended without the empty line after it.

        The specification drops that event, but some providers omit the line after `[DONE]`.
        """
        event = _parse(b"".join(self._buffered))
        self._buffered.clear()
        return [] if event is None else [event]

    def _without_bom(self, data: bytes) -> bytes:
        start = (self._start or b"") + data
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start.removeprefix(_BOM)

    def _with_lf(self, data: bytes) -> bytes:
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if data.endswith(b"\r"):
            self._after_cr = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _completes(self, data: bytes) -> bool:
        return b"\n\n" in data or (data[:1] == b"\n" and self._buffered[-1].endswith(b"\n"))

    def _buffer(self, data: bytes) -> None:
        if data:
            self._buffered.append(data)
            self._buffered_size += len(data)

    def _check(self, size: int) -> None:
        if size > self._max_event:
            raise EventTooLarge(f"an event of over {self._max_event} bytes")


def _parse(block: bytes) -> SseEvent | None:
    """Return the event in a block of lines, or None if it has no data."""
    name, data = b"", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return SseEvent(b"\n".join(data), name) if data else None
