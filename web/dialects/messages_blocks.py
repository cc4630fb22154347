"""The content blocks of a message, in the order of the answer's items.

A message's blocks come one after the other: the next begins when the one before has ended. Calls
of tools may grow side by side in the answer, so that a call's block ends when another item has
begun and its arguments are a whole JSON object. Where they are not, what else comes waits until
they are, or until the answer ends.
"""

from collections.abc import Mapping

from msgspec import Struct

from actors.answer_growth import AnswerGrowth
from actors.answer_parts import Grew, GrowingItem, GrowingPart, ItemClosed, ItemKind, ItemOpened
from actors.events import AnyEvent
from actors.providers.neutral import object_of


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


class Blocks:
    """Follows the events of one turn."""

    def __init__(self) -> None:
        self._growth = AnswerGrowth()
        self._begun = 0
        self._open: GrowingItem | None = None
        self._waiting: list[GrowingItem] = []
        self._part: GrowingPart | None = None
        self._told = 0
        """Pieces of that part, the open block's last, that have been told."""

    def feed(self, event: AnyEvent) -> list[Step]:
        """What the event changes about the blocks; `Ended` ends them all."""
        steps: list[Step] = []
        for change in self._growth.feed(event):
            match change:
                case ItemOpened(item):
                    self._opened(item, steps)
                case Grew(item, part) if item is self._open:
                    self._tell(item, part, steps)
                case ItemClosed(item) if item is self._open:
                    self._end(steps)
                    self._release(steps)
                case _:
                    pass
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

    def _release(self, steps: list[Step]) -> None:
        """Show what waited, up to an item that may still grow."""
        while self._waiting and self._open is None:
            item = self._waiting.pop(0)
            self._begin(item, steps)
            for part in item.parts:
                self._tell(item, part, steps)
            if not item.is_open or (self._waiting and _is_whole(item)):
                self._end(steps)

    def _begin(self, item: GrowingItem, steps: list[Step]) -> None:
        steps.append(Begin(self._begun, _empty(item)))
        self._begun += 1
        self._open, self._part = item, None

    def _tell(self, item: GrowingItem, part: GrowingPart, steps: list[Step]) -> None:
        if part is not self._part:
            self._part, self._told = part, 0
        text = "".join(part.pieces[self._told :])
        self._told = len(part.pieces)
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
    return not call.is_open or object_of(call.parts[0].text) is not None
