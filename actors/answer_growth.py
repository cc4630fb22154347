"""How an answer grows: which items it has, which of them are open, and what each event changes.

An item is a piece of thinking, a message, or a call of a function. Thinking and messages take
turns: one ends where the other or a call begins, so that what stands before and after a call are
two items. Calls grow side by side. Pure; nothing here knows how a dialect spells it.
"""

from collections.abc import Iterator

import msgspec

from actors import events
from actors.answer_parts import (
    UNPLACED,
    Change,
    Grew,
    GrowingItem,
    GrowingPart,
    ItemClosed,
    ItemKind,
    ItemOpened,
    ItemStatus,
    PartClosed,
    PartKind,
    PartOpened,
)
from actors.events import AnyEvent, Ended, Event, Text
from actors.outcome import Reason

_WHOLE = frozenset({Reason.STOP, Reason.TOOL_CALLS})
"""Ends that leave nothing unfinished."""

_PART_OF = {
    PartKind.REASONING: ItemKind.REASONING,
    PartKind.TEXT: ItemKind.MESSAGE,
    PartKind.REFUSAL: ItemKind.MESSAGE,
}
_SAID: dict[PartKind, type[Event]] = {
    PartKind.REASONING: events.Reasoning,
    PartKind.TEXT: Text,
    PartKind.REFUSAL: events.Refusal,
}


class AnswerGrowth:
    """Follows the events of one turn. Changes are to be looked at before the next event is fed.

    A piece that is empty opens nothing. A call is an item from when its name is known; where its
    id is missing, or was another call's, it gets one of its own.
    """

    def __init__(self) -> None:
        self.items: list[GrowingItem] = []
        self.said: type[Event] | None = None
        """The type of events whose `delta` may be appended to `pieces` in place of being fed,
        but for text with logprobs: nothing else would change. None where something would."""
        self.pieces: list[str] = []
        self._turn = ""
        self._open: GrowingItem | None = None
        """The thinking or the message that grows."""
        self._calls: dict[int, GrowingItem] = {}
        """The calls that are open, by their index in the journal."""
        self._whole: dict[int, GrowingItem] = {}
        """Those that were said to be whole. They stay open until something follows, because an
        answer that was cut inside its last call says so too, and only then how it ended."""
        self._call_ids: set[str] = set()
        self._calls_placed = 0

    def feed(self, event: AnyEvent) -> list[Change]:
        """What the event changes."""
        changes = self._changes(event)
        self._find_said()
        return changes

    def end(self, *, whole: bool) -> list[Change]:
        """Close what is open, as unfinished unless the answer is `whole`."""
        changes: list[Change] = []
        self._open = None  # what comes to light now does not make it whole
        for call in self._calls.values():
            if call.index == UNPLACED and call.parts[0].pieces:
                changes += self._place(call)
        said_whole = set(map(id, self._whole.values()))
        for item in self.items:
            if item.is_open:
                finished = whole or (id(item) in said_whole and _is_json(item.parts[0].text))
                changes += _close(item, whole=finished)
        self._forget_open()
        self.said = None
        return changes

    @property
    def text_pieces(self) -> list[str] | None:
        """`pieces`, where it is text that may be appended; else None."""
        return self.pieces if self.said is Text else None

    @property
    def has_text(self) -> bool:
        """Whether there is text that `replace` would take away."""
        return any(part.kind is PartKind.TEXT for _, part in self._message_parts())

    def _changes(self, event: AnyEvent) -> list[Change]:
        match event:
            case Text(delta, logprobs):
                return self._say(PartKind.TEXT, delta, logprobs)
            case events.Reasoning(delta):
                return self._say(PartKind.REASONING, delta)
            case events.Refusal(delta):
                return self._say(PartKind.REFUSAL, delta)
            case events.ToolCallDelta():
                return self._grow_call(event)
            case events.ToolCall():
                return self._whole_call(event)
            case events.Replace(text):
                return self._replace(text)
            case events.Retry():
                self._begin_anew()
            case events.Started():
                self._turn = event.turn_id.removeprefix("turn_")
            case Ended():
                return self.end(whole=event.reason in _WHOLE)
            case _:
                pass
        return []

    def _find_said(self) -> None:
        if self._open is None or self._whole:
            self.said = None
        else:
            part = self._open.parts[-1]
            self.said, self.pieces = _SAID[part.kind], part.pieces

    def _say(self, kind: PartKind, delta: str, logprobs: str | None = None) -> list[Change]:
        if not delta and logprobs is None:
            return []
        changes = self._settle()
        item = self._open
        if item is None or item.kind is not _PART_OF[kind]:
            changes += self._close_open()
            item = self._open = GrowingItem(_PART_OF[kind])
            changes += self._add(item)
        part = item.parts[-1] if item.parts else None
        if part is None or part.kind is not kind:
            if part is not None:
                changes.append(PartClosed(item, part))
            part = GrowingPart(kind, len(item.parts))
            item.parts.append(part)
            changes.append(PartOpened(item, part))
        part.pieces.append(delta)
        if logprobs is not None:
            part.logprobs.append(logprobs)
        changes.append(Grew(item, part, delta, logprobs))
        return changes

    def _grow_call(self, piece: events.ToolCallDelta) -> list[Change]:
        changes = self._settle()
        call = self._call(piece.index, piece.id, piece.name)
        if piece.arguments:
            call.parts[0].pieces.append(piece.arguments)
        if call.index == UNPLACED:
            return changes + self._place(call) if call.name else changes
        if piece.arguments:
            changes.append(Grew(call, call.parts[0], piece.arguments))
        return changes

    def _whole_call(self, whole: events.ToolCall) -> list[Change]:
        changes = self._settle() if whole.index in self._whole else []
        call = self._call(whole.index, whole.id, whole.name)
        self._whole[whole.index] = call
        part = call.parts[0]
        if call.index == UNPLACED:
            part.pieces = [whole.arguments] if whole.arguments else []
            return changes + self._place(call)
        shown = part.text
        # What was shown cannot be taken back, so that only a rest of it can still be told.
        rest = whole.arguments[len(shown) :] if whole.arguments.startswith(shown) else ""
        if rest:
            part.pieces.append(rest)
            changes.append(Grew(call, part, rest))
        return changes

    def _call(self, index: int, id: str | None, name: str | None) -> GrowingItem:
        """The open call of this index, or a new one; with what is now known of it."""
        call = self._calls.get(index)
        if call is None:
            call = self._calls[index] = GrowingItem(ItemKind.FUNCTION_CALL)
            call.parts.append(GrowingPart(PartKind.ARGUMENTS))
        if call.index == UNPLACED:
            call.call_id = call.call_id or id or ""
            call.name = call.name or name or ""
        return call

    def _place(self, call: GrowingItem) -> list[Change]:
        """Show a call for the first time, with what has come of its arguments."""
        changes = self._close_open()
        if not call.call_id or call.call_id in self._call_ids:
            call.call_id = f"call_{self._turn}_{self._calls_placed}"
        self._call_ids.add(call.call_id)
        self._calls_placed += 1
        part = call.parts[0]
        changes += [*self._add(call), PartOpened(call, part)]
        if part.pieces:
            changes.append(Grew(call, part, part.text))
        return changes

    def _add(self, item: GrowingItem) -> list[Change]:
        item.index = len(self.items)
        self.items.append(item)
        return [ItemOpened(item)]

    def _close_open(self) -> list[Change]:
        item, self._open = self._open, None
        return [] if item is None else _close(item, whole=True)

    def _settle(self) -> list[Change]:
        """Something follows, so that calls that were said to be whole are."""
        if not self._whole:
            return []
        changes: list[Change] = []
        for index, call in self._whole.items():
            changes += _close(call, whole=True)
            del self._calls[index]
        self._whole.clear()
        return changes

    def _begin_anew(self) -> None:
        self.items.clear()
        self._call_ids.clear()
        self._calls_placed = 0
        self._forget_open()

    def _forget_open(self) -> None:
        self._open = None
        self._calls.clear()
        self._whole.clear()

    def _replace(self, text: str) -> list[Change]:
        """Put `text` where the first text stands, in place of all texts."""
        if not self.has_text:
            return self._say(PartKind.TEXT, text)
        first = next(part for _, part in self._message_parts() if part.kind is PartKind.TEXT)
        first.pieces, first.logprobs = [text], []
        for item, part in list(self._message_parts()):
            if part.kind is PartKind.TEXT and part is not first:
                item.parts.remove(part)
        self.items = [item for item in self.items if item.parts]
        for place, item in enumerate(self.items):
            item.index = place
            for index, part in enumerate(item.parts):
                part.index = index
        if self._open is not None and not self._open.parts:
            self._open = None
        return []

    def _message_parts(self) -> Iterator[tuple[GrowingItem, GrowingPart]]:
        return (
            (item, part)
            for item in self.items
            if item.kind is ItemKind.MESSAGE
            for part in item.parts
        )


def _close(item: GrowingItem, *, whole: bool) -> list[Change]:
    item.status = ItemStatus.COMPLETED if whole else ItemStatus.INCOMPLETE
    return [PartClosed(item, item.parts[-1]), ItemClosed(item)]


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True
