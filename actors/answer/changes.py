"""Mutable items and parts of an answer in progress, and the changes that can happen to them.

`actors.answer.builder` reports the effect of an event to a dialect as a list of these changes.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct


class ItemKind(StrEnum):
    """The kind of an output item."""

    REASONING = "reasoning"
    MESSAGE = "message"
    FUNCTION_CALL = "function_call"
    CUSTOM_CALL = "custom_call"
    NATIVE = "native"
    """An item of a kind that one API has. It has no parts, and is complete from the start."""


class PartKind(StrEnum):
    """The kind of an item's part. Only messages can have more than one part."""

    REASONING = "reasoning"
    TEXT = "text"
    REFUSAL = "refusal"
    ARGUMENTS = "arguments"
    INPUT = "input"
    """Input of a custom call."""


class ItemStatus(StrEnum):
    """The status of an item: growing, complete, or left unfinished."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"


UNPLACED = -1
"""Index of a call that is not visible yet because its name has not arrived."""


@dataclass(slots=True, eq=False)
class GrowingPart:
    """A part of an item in its current state."""

    kind: PartKind
    index: int = 0
    pieces: list[str] = field(default_factory=list)
    logprobs: list[str] = field(default_factory=list)
    """Provider's logprobs objects for the text, in order, as JSON texts from the journal."""
    annotations: list[str] = field(default_factory=list)
    """Citations of the text, each as JSON in the form of the Responses API."""

    @property
    def text(self) -> str:
        """Text of the part so far."""
        return "".join(self.pieces)


@dataclass(slots=True, eq=False)
class GrowingItem:
    """An item in its current state. `index` is its position in the answer."""

    kind: ItemKind
    index: int = UNPLACED
    status: ItemStatus = ItemStatus.IN_PROGRESS
    parts: list[GrowingPart] = field(default_factory=list)
    call_id: str = ""
    given_id: str = ""
    """Id of a call as the provider sent it."""
    name: str = ""
    extras: str | None = None
    """Fields of a call that one API has, as JSON."""
    api: str | None = None
    """API that knows the `state` of reasoning or the `native` item."""
    state: str | None = None
    """State of reasoning that the provider wants to get back, as JSON."""
    phase: str | None = None
    """Phase of the answer that a message belongs to, if the provider named it."""
    native: str = ""
    """The item of kind `NATIVE`, as JSON."""

    @property
    def is_open(self) -> bool:
        """True while the item may still grow."""
        return self.status is ItemStatus.IN_PROGRESS


class ItemOpened(Struct, frozen=True, gc=False):
    """The addition of an empty item at the end of the answer."""

    item: GrowingItem


class PartOpened(Struct, frozen=True, gc=False):
    """The addition of an empty part at the end of an item."""

    item: GrowingItem
    part: GrowingPart


class Grew(Struct, frozen=True, gc=False):
    """The addition of a piece to an open part."""

    item: GrowingItem
    part: GrowingPart
    delta: str
    logprobs: str | None = None


class Annotated(Struct, frozen=True, gc=False):
    """The addition of a citation to the open text part."""

    item: GrowingItem
    part: GrowingPart
    annotation: str


class PartClosed(Struct, frozen=True, gc=False):
    """The end of an item's last part; the status of its item says if it is complete."""

    item: GrowingItem
    part: GrowingPart


class ItemClosed(Struct, frozen=True, gc=False):
    """The end of an item, whose status is final."""

    item: GrowingItem


Change = ItemOpened | PartOpened | Grew | Annotated | PartClosed | ItemClosed
