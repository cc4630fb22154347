"""Numbered frames: what every dialect's stream is made of.

The SSE `id:` of a frame is `dialect:n`, and `dialect:n@epoch` after a recovery. Heartbeats and
comments have no number. A client that gives back the last id it saw gets every frame after it.
"""

import re

from msgspec import Struct

_ID = re.compile(r"(?:(?P<dialect>[a-z-]+):)?(?P<number>[0-9]{1,10})(?:@(?P<epoch>[0-9]{1,6}))?")


class Cursor(Struct, frozen=True, order=True):
    """A place in a dialect's frames; epochs count first, since a recovery ends the one before."""

    epoch: int
    number: int


PING = b": ping\n"
"""A heartbeat: a comment line without the blank line after it, which some SDKs take for an empty
event."""

START = Cursor(0, -1)
"""Before the first frame."""


class BadCursor(Exception):
    """The id names no frame of this dialect; the message says why."""


def parse_cursor(text: str, dialect: str) -> Cursor:
    """The cursor that `Last-Event-ID` or `starting_after` means; a bare number will do."""
    match = _ID.fullmatch(text.strip())
    if match is None:
        raise BadCursor(f"{text[:64]!r} is not a frame id such as '{dialect}:17'.")
    if match["dialect"] not in (None, dialect):
        raise BadCursor(f"{text[:64]!r} is of another dialect; this stream is '{dialect}'.")
    return Cursor(int(match["epoch"] or 0), int(match["number"]))


def comment(text: str) -> bytes:
    """`text` as a comment line."""
    return f": {' '.join(text.splitlines())}\n".encode()


def data_of(frames: bytes) -> list[bytes]:
    """The data of each of these frames: what a client gets who has them one by one."""
    return [line[6:] for line in frames.split(b"\n") if line.startswith(b"data: ")]


class Numbering:
    """Gives frames their ids, and leaves out those up to a cursor."""

    def __init__(self, dialect: str, after: Cursor) -> None:
        self._dialect = dialect
        self._after = after
        self._epoch = 0
        self._next = 0
        self._catching_up = after != START
        self._set_form()

    @property
    def last(self) -> Cursor:
        """The last frame so far, whether or not the client has it."""
        return Cursor(self._epoch, self._next - 1)

    @property
    def awaited(self) -> bool:
        """Whether the client has a frame that none of those so far is."""
        return self._after > self.last

    def check(self) -> None:
        """Raise `BadCursor` if the client's frame is still `awaited`, so that nobody sent it."""
        if self.awaited:
            last = f"the last one is {self._id(self.last)}" if self._next else "there is none yet"
            raise BadCursor(f"There is no frame {self._id(self._after)}; {last}.")

    def go_on_from(self, others: "Numbering") -> None:
        """Have the first frame come after all of `others`, which tell the same turn otherwise."""
        self._next = others.last.number + 1

    def frame(self, body: bytes) -> bytes:
        """`body` as the next frame, or nothing if the client has it already."""
        number = self._next
        self._next = number + 1
        if self._catching_up and self._seen(number):
            return b""
        return self._form % (number, body)

    def event(self, name: bytes, body: bytes) -> bytes:
        """The same as an event of this name, for dialects whose frames have one."""
        number = self._next
        self._next = number + 1
        if self._catching_up and self._seen(number):
            return b""
        return self._event_form % (number, name, body)

    def take(self) -> int:
        """The number of the next frame, which is made by a `form`; -1 if the client has it."""
        number = self._next
        self._next = number + 1
        return -1 if self._catching_up and self._seen(number) else number

    def form(self, name: bytes, body: bytes) -> bytes:
        """Makes events of one name, in this epoch, that differ in little; for use with `%`.

        The frame's number comes first; then what `name` and `body` have to be filled in.
        """
        return b"%bevent: %b\ndata: %b\n\n" % (self._head, name, body)

    def comment(self, text: str) -> bytes:
        """`text` as a comment before the next frame, or nothing if the client has that already."""
        return b"" if self._catching_up and self._seen(self._next) else comment(text)

    def new_epoch(self, epoch: int) -> None:
        """Frames from here on are of another epoch."""
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
