"""Answer builder: the one fold of a turn's events into its answer.

It says what the text, the tool calls and the output items are, and what a retry or a replacement
does to them. The persister feeds the builder of a live turn; `fold` builds the answer of a journal,
and `settled_events` leaves out of a journal what these two have discarded.

An item is a piece of reasoning, a message, a call of the client's tools, or an item that only one
API has. Reasoning and messages alternate: one ends when the other or a call begins, so text before
and after a call makes two items. Reasoning ends with its state, too. Several calls can be open at
once. The module does no I/O and is independent of the dialects.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from actors.answer.changes import (
    UNPLACED,
    Annotated,
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
from actors.turn import events
from actors.turn.chunks import CallKind
from actors.turn.events import (
    AnyEvent,
    Ended,
    Event,
    Refusal,
    Replace,
    Text,
    ToolCall,
    ToolCallDelta,
)
from actors.turn.outcome import Reason, Status
from actors.turn.request import TurnRequest

_WHOLE = frozenset({Reason.STOP, Reason.TOOL_CALLS, Reason.PAUSE_TURN})
"""Reasons of an end that leaves no item unfinished."""

_ITEM_OF = {
    PartKind.REASONING: ItemKind.REASONING,
    PartKind.TEXT: ItemKind.MESSAGE,
    PartKind.REFUSAL: ItemKind.MESSAGE,
}
_EVENT_OF: dict[PartKind, type[Event]] = {
    PartKind.REASONING: events.Reasoning,
    PartKind.TEXT: Text,
    PartKind.REFUSAL: events.Refusal,
}

_CALL_KINDS = {
    "function": (ItemKind.FUNCTION_CALL, PartKind.ARGUMENTS),
    "custom": (ItemKind.CUSTOM_CALL, PartKind.INPUT),
}

_STAYS = (events.Started, events.RouteChanged, events.Warning)
"""Event types that are not part of the answer, so that a retry does not discard them."""
_CONTENT = (Text, Refusal, ToolCallDelta, ToolCall, Replace, events.NativeItem)
"""Event types that a later turn can continue from; reasoning alone does not count."""
_PARTIAL_DELIVERED = frozenset(
    {Reason.SIZE_LIMIT, Reason.GUARD_BLOCKED, Reason.GUARD_REJECTED, Reason.CANCEL_REQUESTED}
)
"""End reasons for which a non-streaming client still receives the partial answer."""


class AnswerBuilder:
    """A builder fed with the events of one turn. Read the changes before feeding the next event.

    An empty piece opens nothing. A call becomes an item once its name is known. If its id is
    missing or a duplicate, the builder generates one.
    """

    __slots__ = (
        "_call_ids",
        "_calls",
        "_calls_placed",
        "_open",
        "_phase",
        "_turn",
        "_whole",
        "delta_event",
        "has_content",
        "items",
        "pieces",
        "tool_calls",
    )

    def __init__(self) -> None:
        self.items: list[GrowingItem] = []
        self.tool_calls: list[ToolCall] = []
        """Complete calls in the order in which they were completed."""
        self.has_content = False
        """True if there is content since the last retry that a later turn can continue from."""
        self.delta_event: type[Event] | None = None
        """Event type for which appending the `delta` to `pieces` equals feeding the event, or None.

        It saves the cost of `feed` for most events. Text with logprobs must always be fed.
        """
        self.pieces: list[str] = []
        self._turn = ""
        self._open: GrowingItem | None = None
        """Reasoning or message item that is open."""
        self._phase: str | None = None
        """Phase of the next message."""
        self._calls: dict[int, GrowingItem] = {}
        """Open calls by their index in the journal."""
        self._whole: dict[int, GrowingItem] = {}
        """Calls reported as complete, by index; they stay open until another event follows.

        An answer that was cut inside its last call reports that call as complete too, and only
        `ended` shows that it was cut.
        """
        self._call_ids: set[str] = set()
        self._calls_placed = 0

    def add(self, event: AnyEvent) -> None:
        """Process an event whose changes are not needed."""
        # Most events are text, for which `delta_event` describes a shortcut.
        if type(event) is Text and self.delta_event is Text and event.logprobs is None:
            self.pieces.append(event.delta)
        else:
            self.feed(event)

    def feed(self, event: AnyEvent) -> list[Change]:
        """Process an event and return the changes that it makes."""
        if isinstance(event, _CONTENT):
            self.has_content = True
        changes = self._changes(event)
        self._update_delta_event()
        return changes

    def end(self, *, whole: bool) -> list[Change]:
        """Close all open items: as completed if the answer is `whole`, else as incomplete."""
        changes: list[Change] = []
        self._open = None  # so that placing a call below does not close it as completed
        for call in self._calls.values():
            if call.index == UNPLACED and call.parts[0].pieces:
                changes += self._place(call)
        reported_whole = set(map(id, self._whole.values()))
        for item in self.items:
            if item.is_open:
                finished = whole or (id(item) in reported_whole and _is_finished(item))
                changes += _close(item, whole=finished)
        self._forget_open()
        self.delta_event = None
        return changes

    def whole_calls(self) -> list[ToolCall]:
        """Return the calls that are complete if the answer ends now, by index, to be fed next."""
        return [
            _tool_call(index, call)
            for index, call in sorted(self._calls.items())
            if index not in self._whole
        ]

    @property
    def text_pieces(self) -> list[str] | None:
        """List to which text deltas may be appended directly, or None if they must be fed."""
        return self.pieces if self.delta_event is Text else None

    @property
    def text(self) -> str:
        """Visible text."""
        return self._joined(PartKind.TEXT)

    @property
    def refusal(self) -> str:
        """Text of the provider's refusal."""
        return self._joined(PartKind.REFUSAL)

    @property
    def reasoning(self) -> str:
        """Text of the reasoning that the provider showed."""
        return self._joined(PartKind.REASONING)

    @property
    def logprobs(self) -> list[str]:
        """Provider's logprobs objects for the text, in order, as JSON texts."""
        return [one for part in self._parts(PartKind.TEXT) for one in part.logprobs]

    @property
    def generated(self) -> str:
        """Everything that the provider generated: text, reasoning, refusals and arguments."""
        waiting = [call for call in self._calls.values() if call.index == UNPLACED]
        return "".join([part.text for item in (*self.items, *waiting) for part in item.parts])

    def discards(self, event: AnyEvent) -> bool:
        """Return True if feeding the event would take back items reported as changes."""
        return isinstance(event, events.Retry) and bool(self.items)

    @property
    def _first_text(self) -> GrowingPart | None:
        return next(self._parts(PartKind.TEXT), None)

    def _changes(self, event: AnyEvent) -> list[Change]:
        match event:
            case Text(delta, logprobs):
                return self._add_delta(PartKind.TEXT, delta, logprobs)
            case events.Reasoning(delta):
                return self._add_delta(PartKind.REASONING, delta)
            case events.Refusal(delta):
                return self._add_delta(PartKind.REFUSAL, delta)
            case events.Replace(text):
                return self._replace(text)
            case events.Retry():
                self._restart()
            case events.Started():
                self._turn = event.turn_id.removeprefix("turn_")
            case Ended():
                return self.end(whole=event.reason in _WHOLE)
            case _:
                return self._item_changes(event)
        return []

    def _item_changes(self, event: AnyEvent) -> list[Change]:
        match event:
            case events.ToolCallDelta():
                return self._grow_call(event)
            case events.ToolCall():
                return self._complete_call(event)
            case events.ReasoningState(api, state):
                return self._end_reasoning(api, state)
            case events.MessagePhase(phase):
                self._phase = phase
                return [*self._settle(), *self._close_open()]
            case events.Annotation(annotation):
                return self._annotate(annotation)
            case events.NativeItem(api, native):
                return self._add_native(api, native)
            case _:
                return []

    def _update_delta_event(self) -> None:
        if self._open is None or self._whole:
            self.delta_event = None
        else:
            part = self._open.parts[-1]
            self.delta_event, self.pieces = _EVENT_OF[part.kind], part.pieces

    def _add_delta(self, kind: PartKind, delta: str, logprobs: str | None = None) -> list[Change]:
        if not delta and logprobs is None:
            return []
        changes, item, part = self._open_part(kind)
        part.pieces.append(delta)
        if logprobs is not None:
            part.logprobs.append(logprobs)
        changes.append(Grew(item, part, delta, logprobs))
        return changes

    def _open_part(self, kind: PartKind) -> tuple[list[Change], GrowingItem, GrowingPart]:
        """Return the open part of this kind with its item, opened if needed, and the changes."""
        changes = self._settle()
        item = self._open
        if item is None or item.kind is not _ITEM_OF[kind]:
            changes += self._close_open()
            item = self._open = GrowingItem(_ITEM_OF[kind])
            if item.kind is ItemKind.MESSAGE:
                item.phase, self._phase = self._phase, None
            changes += self._add(item)
        part = item.parts[-1] if item.parts else None
        if part is None or part.kind is not kind:
            if part is not None:
                changes.append(PartClosed(item, part))
            part = GrowingPart(kind, len(item.parts))
            item.parts.append(part)
            changes.append(PartOpened(item, part))
        return changes, item, part

    def _end_reasoning(self, api: str, state: str) -> list[Change]:
        changes, item, _ = self._open_part(PartKind.REASONING)
        item.api, item.state = api, state
        return changes + self._close_open()

    def _annotate(self, annotation: str) -> list[Change]:
        changes, item, part = self._open_part(PartKind.TEXT)
        part.annotations.append(annotation)
        return [*changes, Annotated(item, part, annotation)]

    def _add_native(self, api: str, native: str) -> list[Change]:
        changes = [*self._settle(), *self._close_open()]
        item = GrowingItem(ItemKind.NATIVE, status=ItemStatus.COMPLETED, api=api, native=native)
        return [*changes, *self._add(item), ItemClosed(item)]

    def _grow_call(self, piece: events.ToolCallDelta) -> list[Change]:
        changes = self._settle()
        call = self._call(piece)
        if piece.arguments:
            call.parts[0].pieces.append(piece.arguments)
        if call.index == UNPLACED:
            return changes + self._place(call) if call.name else changes
        if piece.arguments:
            changes.append(Grew(call, call.parts[0], piece.arguments))
        return changes

    def _complete_call(self, whole: events.ToolCall) -> list[Change]:
        changes = self._settle() if whole.index in self._whole else []
        call = self._call(whole)
        self._whole[whole.index] = call
        self.tool_calls.append(whole)
        part = call.parts[0]
        if call.index == UNPLACED:
            part.pieces = [whole.arguments] if whole.arguments else []
            return changes + self._place(call)
        shown = part.text
        # Arguments that were shown cannot be taken back: only a remainder can be added.
        rest = whole.arguments[len(shown) :] if whole.arguments.startswith(shown) else ""
        if rest:
            part.pieces.append(rest)
            changes.append(Grew(call, part, rest))
        return changes

    def _call(self, piece: ToolCallDelta | ToolCall) -> GrowingItem:
        """Return the open call of this index or a new one, updated with the id and the name."""
        call = self._calls.get(piece.index)
        if call is None:
            kinds = _CALL_KINDS[piece.kind]
            call = self._calls[piece.index] = GrowingItem(kinds[0])
            call.parts.append(GrowingPart(kinds[1]))
        call.given_id = call.given_id or piece.id or ""
        call.name = call.name or piece.name or ""
        call.extras = call.extras or piece.extras
        return call

    def _place(self, call: GrowingItem) -> list[Change]:
        """Make a call visible as an item, with the arguments received so far."""
        changes = self._close_open()
        call.call_id = call.given_id
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
        """Close the calls reported as complete: another event confirms that they are."""
        if not self._whole:
            return []
        changes: list[Change] = []
        for index, call in self._whole.items():
            changes += _close(call, whole=True)
            del self._calls[index]
        self._whole.clear()
        return changes

    def _restart(self) -> None:
        self.items.clear()
        self.tool_calls.clear()
        self.has_content = False
        self._call_ids.clear()
        self._calls_placed = 0
        self._forget_open()

    def _forget_open(self) -> None:
        self._open = self._phase = None
        self._calls.clear()
        self._whole.clear()

    def _replace(self, text: str) -> list[Change]:
        """Replace all texts by `text` at the position of the first one."""
        first = self._first_text
        if first is None:
            return self._add_delta(PartKind.TEXT, text)
        first.pieces, first.logprobs, first.annotations = [text], [], []
        for item in self.items:
            item.parts = [p for p in item.parts if p.kind is not PartKind.TEXT or p is first]
        self.items = [item for item in self.items if item.parts or item.kind is ItemKind.NATIVE]
        for item_index, item in enumerate(self.items):
            item.index = item_index
            for part_index, part in enumerate(item.parts):
                part.index = part_index
        if self._open is not None and not self._open.parts:
            self._open = None
        return []

    def _parts(self, kind: PartKind) -> Iterator[GrowingPart]:
        return (part for item in self.items for part in item.parts if part.kind is kind)

    def _joined(self, kind: PartKind) -> str:
        return "".join([part.text for part in self._parts(kind)])


def fold(journal: Iterable[AnyEvent]) -> AnswerBuilder:
    """Return the answer of these events, which are complete or the first of a turn."""
    answer = AnswerBuilder()
    add = answer.add
    for event in journal:
        add(event)
    return answer


def settled_events(journal: Sequence[AnyEvent]) -> list[AnyEvent]:
    """Return the events without those that a retry or a replacement has discarded."""
    begin = _after_last(journal, events.Retry)
    rest = _after_last(journal, Replace, begin)
    stays = [event for event in islice(journal, begin) if type(event) in _STAYS]
    return [*stays, *_replaced(journal[begin:rest]), *journal[rest:]]


def _after_last(journal: Sequence[AnyEvent], kind: type[AnyEvent], least: int = 0) -> int:
    """Return the index after the last event of this type, or `least` if none follows that index.

    Searches 100,000 events in one or two milliseconds.
    """
    # `map` and `list.index` run in C; a Python loop over the events would be much slower.
    kinds = list(map(type, reversed(journal[least:])))
    return len(journal) - kinds.index(kind) if kind in kinds else least


def _replaced(until: Sequence[AnyEvent]) -> Iterator[AnyEvent]:
    """Yield the events before a `replace`, with its text in the place of the first text event.

    The last of the events is the `replace`, unless there are none.
    """
    text = [Text(event.text) for event in until[-1:] if isinstance(event, Replace)]
    for event in until:
        if not isinstance(event, Text | Replace):
            yield event
        elif text:
            yield text.pop()


def reached_client(
    request: TurnRequest, answer: AnswerBuilder, status: Status, reason: Reason
) -> bool:
    """Return True if any of the answer can have reached the client."""
    if status is Status.COMPLETED:
        return True
    if request.replaceable and reason not in _PARTIAL_DELIVERED:
        return False
    return answer.has_content


def _close(item: GrowingItem, *, whole: bool) -> list[Change]:
    item.status = ItemStatus.COMPLETED if whole else ItemStatus.INCOMPLETE
    return [PartClosed(item, item.parts[-1]), ItemClosed(item)]


def _tool_call(index: int, call: GrowingItem) -> ToolCall:
    kind: CallKind = "custom" if call.kind is ItemKind.CUSTOM_CALL else "function"
    return ToolCall(index, call.given_id, call.name, call.parts[0].text, kind, call.extras)


def _is_finished(call: GrowingItem) -> bool:
    """Return whether a call that was reported as complete is, although its answer was cut."""
    return call.kind is ItemKind.FUNCTION_CALL and _is_json(call.parts[0].text)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True
