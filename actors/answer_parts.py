"""What a growing answer is made of, and what can change about it.

The words in which `actors.answer_growth` tells a dialect what an event has done.
"""

from enum import StrEnum

from msgspec import Struct


class ItemKind(StrEnum):
    """What an item is."""

    REASONING = "reasoning"
    MESSAGE = "message"
    FUNCTION_CALL = "function_call"


class PartKind(StrEnum):
    """What a part of an item is. Only messages can have more than one."""

    REASONING = "reasoning"
    TEXT = "text"
    REFUSAL = "refusal"
    ARGUMENTS = "arguments"


class ItemStatus(StrEnum):
    """Whether an item still grows, is whole, or was left unfinished."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"


UNPLACED = -1
"""The index of a call whose name has not come yet: nobody has seen it."""


class GrowingPart:
    """A part of an item, as far as it has come."""

    __slots__ = ("index", "kind", "logprobs", "pieces")

    def __init__(self, kind: PartKind, index: int = 0) -> None:
        self.kind = kind
        self.index = index
        self.pieces: list[str] = []
        self.logprobs: list[str] = []
        """The provider's objects for the text, in its order, as they stand in the journal."""

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(self.pieces)


class GrowingItem:
    """An item, as far as it has come. `index` is its place in the answer."""

    __slots__ = ("call_id", "index", "kind", "name", "parts", "status")

    def __init__(self, kind: ItemKind) -> None:
        self.kind = kind
        self.index = UNPLACED
        self.status = ItemStatus.IN_PROGRESS
        self.parts: list[GrowingPart] = []
        self.call_id = ""
        self.name = ""

    @property
    def is_open(self) -> bool:
        """Whether it may still grow."""
        return self.status is ItemStatus.IN_PROGRESS


class ItemOpened(Struct, frozen=True, gc=False):
    """A new item, empty, at the end of the answer."""

    item: GrowingItem


class PartOpened(Struct, frozen=True, gc=False):
    """A new part, empty, at the end of an item."""

    item: GrowingItem
    part: GrowingPart


class Grew(Struct, frozen=True, gc=False):
    """A piece was added to an open part."""

    item: GrowingItem
    part: GrowingPart
    delta: str
    logprobs: str | None = None


class PartClosed(Struct, frozen=True, gc=False):
    """An item's last part grows no more. The status of its item says if it is whole."""

    item: GrowingItem
    part: GrowingPart


class ItemClosed(Struct, frozen=True, gc=False):
    """An item grows no more; its status is final."""

    item: GrowingItem


Change = ItemOpened | PartOpened | Grew | PartClosed | ItemClosed
