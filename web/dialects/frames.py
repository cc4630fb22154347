"""Numbers the frames of a stream, so that a client can resume after the last one that it has.

The SSE `id:` of a frame is `dialect:n`, and `dialect:n@epoch` after a recovery. Heartbeats and
comments have no number. A client that sends back the last id it saw gets every frame after it.
"""

import re

from msgspec import Struct

from actors.turn import events

_ID = re.compile(r"(?:(?P<dialect>[a-z-]+):)?(?P<number>[0-9]{1,10})(?:@(?P<epoch>[0-9]{1,6}))?")


class Cursor(Struct, frozen=True, order=True):
    """A position in the frames of a dialect.

    Cursors are ordered by epoch first, since a recovery ends the epoch before it.
    """

    epoch: int
    number: int


PING = b": ping\n"
"""A heartbeat: a comment line. It has no blank line, which some SDKs parse as an empty event."""

DONE = b"data: [DONE]\n\n"
"""The end of a stream, without a number: a client that resumes after the last event is done."""

START = Cursor(0, -1)
"""The position before the first frame."""


_MOST_FRAMES = 8


class BadCursor(Exception):
    """Error for an id that is not the id of a frame of this dialect."""


def parse_cursor(text: str, dialect: str) -> Cursor:
    """Parse a `Last-Event-ID` or `starting_after`, which may be a bare number.

    Raises `BadCursor`.
    """
    match = _ID.fullmatch(text.strip())
    if match is None:
        raise BadCursor(f"{text[:64]!r} is not a frame id such as '{dialect}:17'.")
    if match["dialect"] not in (None, dialect):
        raise BadCursor(f"{text[:64]!r} is an id of another dialect; this stream is '{dialect}'.")
    return Cursor(int(match["epoch"] or 0), int(match["number"]))


def comment(text: str) -> bytes:
    """Return `text` as an SSE comment line; line breaks in it become spaces."""
    return f": {' '.join(text.splitlines())}\n".encode()


def data_of(frames: bytes) -> list[bytes]:
    """Return the data of each frame, as a WebSocket client gets them; `DONE` isn't one."""
    lines = frames.removesuffix(DONE).split(b"\n")
    return [line[6:] for line in lines if line.startswith(b"data: ")]


class Numbering:
    """A frame counter that omits the frames up to the client's cursor."""

    def __init__(self, dialect: str, after: Cursor) -> None:
        self._dialect = dialect
        self._after = after
        self._epoch = 0
        self._next = 0
        self._catching_up = after != START
        self._set_form()

    @property
    def last(self) -> Cursor:
        """The position of the last frame rendered so far."""
        return Cursor(self._epoch, self._next - 1)

    @property
    def client_is_ahead(self) -> bool:
        """True if the client's last frame has not been rendered yet."""
        return self._after > self.last

    def check(self) -> None:
        """Raise `BadCursor` if the client's last frame has not been rendered, so was never sent."""
        if self.client_is_ahead:
            last = f"the last one is {self._id(self.last)}" if self._next else "there is none yet"
            raise BadCursor(f"There is no frame {self._id(self._after)}; {last}.")

    def continue_after(self, others: "Numbering") -> None:
        """Start numbering after the last frame of another rendering of this turn."""
        self._next = others.last.number + 1

    def frame(self, body: bytes) -> bytes:
        """Return `body` as the next frame, or b"" if the client has that frame."""
        number = self._next
        self._next = number + 1
        if self._catching_up and self._seen(number):
            return b""
        return self._form % (number, body)

    def event(self, name: bytes, body: bytes) -> bytes:
        """Return `body` as the next frame with an event name, or b"" if the client has it."""
        number = self._next
        self._next = number + 1
        if self._catching_up and self._seen(number):
            return b""
        return self._event_form % (number, name, body)

    def take(self) -> int:
        """Return the next frame number for use with a `form`, or -1 if the client has it."""
        number = self._next
        self._next = number + 1
        return -1 if self._catching_up and self._seen(number) else number

    def form(self, name: bytes, body: bytes) -> bytes:
        """Return a `%` format for frames of the current epoch that differ only in a few values.

        The first value is the frame number. The others are those of the placeholders in `name` and
        `body`.
        """
        return b"%bevent: %b\ndata: %b\n\n" % (self._head, name, body)

    def comment(self, text: str) -> bytes:
        """Return a comment that precedes the next frame, or b"" if the client has that frame."""
        return b"" if self._catching_up and self._seen(self._next) else comment(text)

    def replaced(self, event: events.Replace) -> None:
        """Skip the numbers that frames of the replaced texts can have had.

        So later frames have the same numbers if the journal is read again, with other texts. An
        event has at most `_MOST_FRAMES` frames on average.
        """
        self._next = max(self._next, _MOST_FRAMES * (event.position + 1))

    def new_epoch(self, epoch: int) -> None:
        """Begin another epoch for the following frames."""
        self._epoch = epoch
        self._set_form()

    def _seen(self, number: int) -> bool:
        seen = Cursor(self._epoch, number) <= self._after
        self._catching_up = seen
        return seen

    def _id(self, cursor: Cursor) -> str:
        epoch = f"@{cursor.epoch}" if cursor.epoch else ""
        return f"'{self._dialect}:{cursor.number}{epoch}'"

    def _set_form(self) -> None:
        epoch = f"@{self._epoch}" if self._epoch else ""
        self._head = f"id: {self._dialect}:%d{epoch}\n".encode()
        self._form = self._head + b"data: %b\n\n"
        self._event_form = self.form(b"%b", b"%b")
