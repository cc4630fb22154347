"""The content blocks of a message, in the order of the answer's items.

A message's blocks come one after the other: the next begins when the one before has ended. Calls
of tools may grow side by side in the answer, so that a call's block ends when another item has
begun and its arguments are a whole JSON object. Where they are not, what else comes waits until
they are, or until the answer ends. So much may have waited that it is not shown at once: each
event shows a few of the items that waited, and after the last one `more` shows the rest.
"""

from collections import deque
from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from actors.answer_growth import AnswerGrowth
from actors.answer_parts import Grew, GrowingItem, GrowingPart, ItemClosed, ItemKind, ItemOpened
from actors.events import AnyEvent


class Begin(Struct, frozen=True):
    """A block begins, with nothing in it yet."""

    index: int
    block: Mapping[str, object]


class Grow(Struct, frozen=True):
    """Something is added to the open block: `text`, as its delta's `kind` and `field`."""

    index: int
    kind: str
    field: str
    text: str


class End(Struct, frozen=True):
    """The open block has ended."""

    index: int


Step = Begin | Grow | End

_DELTAS = {
    ItemKind.MESSAGE: ("text_delta", "text"),
    ItemKind.REASONING: ("thinking_delta", "thinking"),
    ItemKind.FUNCTION_CALL: ("input_json_delta", "partial_json"),
}


_AN_EVENT_SHOWS = 4
"""Items that waited. Not as many as there is time for: frames have to be the same each time, in
whatever batches the events are rendered."""
_AT_ONCE = 128
"""Items that `more` shows; that takes about 2 ms."""
_LOOKED_AT = 262_144
"""Characters of a call's arguments that are looked at before …"""
_LOOKED_AT_MORE = 4096
"""… so many are for each piece of them, on an average; that takes about 4 µs."""
_A_PIECE = 16
"""Characters that could be looked at in the time that it takes to add a piece to the others."""

_read_object = msgspec.json.Decoder(dict[str, Raw]).decode
"""Makes nothing of the values: two million characters take 4 ms."""


class Blocks:
    """Follows the events of one turn."""

    def __init__(self) -> None:
        self._growth = AnswerGrowth()
        self._begun = 0
        self._open: GrowingItem | None = None
        self._waiting: deque[GrowingItem] = deque()
        self._part: GrowingPart | None = None
        self._told = 0
        """Pieces of that part, the open block's last, that have been told."""
        self._size = 0
        """Characters of the open block that have been told, …"""
        self._may_look_at = 0
        """… and how many may be looked at, to find out whether it is whole."""

    def feed(self, event: AnyEvent) -> list[Step]:
        """What the event changes about the blocks; `Ended` ends them, and `more` after it."""
        steps: list[Step] = []
        for change in self._growth.feed(event):
            match change:
                case ItemOpened(item):
                    self._opened(item, steps)
                case Grew(item, part) if item is self._open:
                    self._tell(item, part, steps)
                    if self._waiting and self._became_whole(part):
                        self._end(steps)
                case ItemClosed(item) if item is self._open:
                    self._end(steps)
                case _:
                    pass
        self._release(steps, _AN_EVENT_SHOWS)
        return steps

    @property
    def behind(self) -> bool:
        """Whether something waits that may be shown."""
        return bool(self._waiting) and self._open is None

    def more(self) -> list[Step]:
        """The next of what waits, where no event will come; all that is left after a few times."""
        steps: list[Step] = []
        self._release(steps, _AT_ONCE)
        return steps

    @property
    def text_index(self) -> int | None:
        """The index of the block to which text may be added without `feed`; None for none."""
        return None if self._waiting or self._growth.text_pieces is None else self._begun - 1

    def _opened(self, item: GrowingItem, steps: list[Step]) -> None:
        if self._waiting or (self._open is not None and not _is_whole(self._open)):
            self._waiting.append(item)
            return
        if self._open is not None:
            self._end(steps)
        self._begin(item, steps)

    def _release(self, steps: list[Step], most: int) -> None:
        """Show so many of what waited, up to an item that may still grow."""
        while self._waiting and self._open is None and most:
            most -= 1
            item = self._waiting.popleft()
            self._begin(item, steps)
            for part in item.parts:
                self._tell(item, part, steps)
            if not item.is_open or (self._waiting and _is_whole(item)):
                self._end(steps)

    def _became_whole(self, arguments: GrowingPart) -> bool:
        """Whether the last piece completed the open call, as far as looking costs little.

        It does as long as pieces end in a brace as seldom as they do in JSON. Arguments that are
        nothing but braces would be read again and again, so that these may have to be closed.
        """
        self._may_look_at += _LOOKED_AT_MORE
        looking = self._size + _A_PIECE * len(arguments.pieces)
        if looking > self._may_look_at or not arguments.pieces[-1].rstrip().endswith("}"):
            return False
        self._may_look_at -= looking
        return _is_object(arguments.text)

    def _begin(self, item: GrowingItem, steps: list[Step]) -> None:
        steps.append(Begin(self._begun, _empty(item)))
        self._begun += 1
        self._open, self._part = item, None
        self._size, self._may_look_at = 0, _LOOKED_AT

    def _tell(self, item: GrowingItem, part: GrowingPart, steps: list[Step]) -> None:
        if part is not self._part:
            self._part, self._told = part, 0
        text = "".join(part.pieces[self._told :])
        self._told = len(part.pieces)
        self._size += len(text)
        if text:
            steps.append(Grow(self._begun - 1, *_DELTAS[item.kind], text))

    def _end(self, steps: list[Step]) -> None:
        steps.append(End(self._begun - 1))
        self._open = None


def _empty(item: GrowingItem) -> dict[str, object]:
    match item.kind:
        case ItemKind.MESSAGE:
            return {"type": "text", "text": ""}
        case ItemKind.REASONING:
            # Nobody signed it: a signature is the mark of the one API that takes thinking back.
            return {"type": "thinking", "thinking": "", "signature": ""}
        case ItemKind.FUNCTION_CALL:
            return {"type": "tool_use", "id": item.call_id, "name": item.name, "input": {}}


def _is_whole(call: GrowingItem) -> bool:
    """Whether nothing that may still come can belong to it."""
    return not call.is_open or _is_object(call.parts[0].text)


def _is_object(text: str) -> bool:
    try:
        _read_object(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True
