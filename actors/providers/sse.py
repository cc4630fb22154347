"""Server-sent events, sans IO (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Bytes go in as they come, whole events come out. `id` and `retry` are of no use to a reader that
never reconnects, and are ignored like unknown fields.
"""

from msgspec import Struct

_BOM = b"\xef\xbb\xbf"
MAX_EVENT = 8 * 1024 * 1024
"""Bytes of one event, over which the stream is given up."""


class SseEvent(Struct, frozen=True, gc=False):
    """One event; `name` is empty where the stream gave none."""

    data: bytes
    name: bytes = b""


class EventTooLarge(Exception):
    """An event grew beyond the bound."""


class SseDecoder:
    """Turns a stream into events. Lines may end in LF, CR or CRLF, cut anywhere."""

    __slots__ = ("_after_cr", "_held", "_held_size", "_max_event", "_start")

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._max_event = max_event
        self._held: list[bytes] = []
        """The beginning of an event, in pieces: joining them at every read would be quadratic."""
        self._held_size = 0
        self._after_cr = False
        self._start: bytes | None = b""
        """The stream's first bytes while they may be a BOM; None after that."""

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes.

        Raises `EventTooLarge`, at the next call where this one has events to return.
        """
        self._check(self._held_size)
        if self._start is not None:
            data = self._without_bom(data)
        if self._after_cr or b"\r" in data:
            data = self._with_lf(data)
        events: list[SseEvent] = []
        for block in self._blocks(data):
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(SseEvent(block[6:]))
            elif (event := _parse(block)) is not None:
                events.append(event)
        if not events:
            self._check(self._held_size)
        return events

    def _blocks(self, data: bytes) -> list[bytes]:
        """The lines of each event that is whole now; what is left is held."""
        if self._held:
            if not self._completes(data):
                self._hold(data)
                return []
            data = b"".join((*self._held, data))
            self._held.clear()
            self._held_size = 0
        blocks = data.split(b"\n\n")
        self._hold(blocks.pop())
        if len(data) > self._max_event:
            self._check(max(map(len, blocks), default=0))
        return blocks

    def end(self) -> list[SseEvent]:
        """The last event, where the stream ended without the empty line behind it.

        The specification drops it; providers are known to forget that line after `[DONE]`.
        """
        event = _parse(b"".join(self._held))
        self._held.clear()
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
        return b"\n\n" in data or (data[:1] == b"\n" and self._held[-1].endswith(b"\n"))

    def _hold(self, data: bytes) -> None:
        if data:
            self._held.append(data)
            self._held_size += len(data)

    def _check(self, size: int) -> None:
        if size > self._max_event:
            raise EventTooLarge(f"an event of over {self._max_event} bytes")


def _parse(block: bytes) -> SseEvent | None:
    """The event of a block of lines; None where it has no data."""
    name, data = b"", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return SseEvent(b"\n".join(data), name) if data else None
