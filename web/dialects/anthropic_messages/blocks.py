"""Orders the items of a growing answer as the content blocks of a message.

The blocks of a message don't overlap: the next begins when the one before has ended. The tool calls
of an answer may grow in parallel. So a call's block ends once another item has begun and the
call's arguments are a complete JSON object. Until then, or until the answer ends, the other items
wait. Many items may be waiting, so each event releases a few of them, and after the last event
`more` releases the rest.
"""

from collections import deque
from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from actors.answer.builder import AnswerBuilder
from actors.answer.changes import (
    Annotated,
    Change,
    Grew,
    GrowingItem,
    GrowingPart,
    ItemClosed,
    ItemKind,
    ItemOpened,
)
from actors.answer.items import item_of
from actors.turn.events import AnyEvent
from actors.turn.model_call import CUSTOM_INPUT
from web.dialects.anthropic_messages.opaque_fields import (
    call_extras,
    citation_of,
    is_state_alone,
    native_input,
    thinking_fields,
    without_input,
)


class BlockEvent(Struct, frozen=True):
    """An event of the stream about a block: its start, its growth or its end."""

    name: str
    fields: Mapping[str, object]


NATIVE_API = "anthropic"
"""Format whose native items are blocks of this API."""

_DELTAS = {
    ItemKind.MESSAGE: ("text_delta", "text"),
    ItemKind.REASONING: ("thinking_delta", "thinking"),
    ItemKind.FUNCTION_CALL: ("input_json_delta", "partial_json"),
    ItemKind.CUSTOM_CALL: ("input_json_delta", "partial_json"),
    ItemKind.NATIVE: ("input_json_delta", "partial_json"),
}


_RELEASED_PER_EVENT = 4
"""Waiting items released per event.

A fixed number and not a time limit: frames must be the same in every rendering of the events,
whatever the batches."""
_RELEASED_AT_END = 128
"""Waiting items released per call of `more`, which takes about 2 ms."""
_PARSE_BUDGET = 262_144
"""Initial budget, in characters, for parsing the arguments of a call."""
_PARSE_BUDGET_PER_PIECE = 4096
"""Characters added to the parsing budget per piece of the arguments, about 4 µs of parsing."""
_JOIN_COST = 16
"""Characters that can be parsed in the time that joining one more piece takes."""

_read_object = msgspec.json.Decoder(dict[str, Raw]).decode
"""Parses an object without decoding its values: two million characters take 4 ms."""


class Blocks:
    """The content blocks of one turn's answer, built from its events."""

    def __init__(self) -> None:
        self._builder = AnswerBuilder()
        self._begun = 0
        self._open: GrowingItem | None = None
        self._waiting: deque[GrowingItem] = deque()
        self._last: ItemKind | None = None
        """Kind of the last item that is shown or waiting."""
        self._withheld: list[GrowingItem] = []
        """States behind a text, which are shown only if another block follows.

        Some clients take the last block for the answer."""
        self._part: GrowingPart | None = None
        self._shown_pieces = 0
        """Number of pieces of `_part` that have been shown."""
        self._cited = 0
        """Number of citations of `_part` that have been shown."""
        self._size = 0
        """Characters of the open block that have been shown."""
        self._parse_budget = 0
        """Characters that may still be parsed to find out whether the open block is complete."""

    def feed(self, event: AnyEvent) -> list[BlockEvent]:
        """Return the events that follow from `event`; after `Ended`, `more` returns the rest."""
        return self._shown(self._builder.feed(event))

    def end(self) -> list[BlockEvent]:
        """Return the events that end all blocks: the answer gets no more content."""
        shown = self._shown(self._builder.end(whole=True))
        while self.behind:
            shown += self.more()
        return shown

    def _shown(self, changes: list[Change]) -> list[BlockEvent]:
        shown: list[BlockEvent] = []
        for change in changes:
            match change:
                case ItemOpened(item):
                    if item.kind is not ItemKind.NATIVE or item.api == NATIVE_API:
                        self._opened(item, shown)
                case Annotated(item, part) if item is self._open:
                    self._cite(part, shown)
                case Grew(item, part) if item is self._open:
                    self._grow(item, part, shown)
                    if self._waiting and self._became_complete(part):
                        self._end(shown)
                case ItemClosed(item) if item is self._open:
                    self._end(shown)
                case _:
                    pass
        self._release(shown, _RELEASED_PER_EVENT)
        return shown

    @property
    def behind(self) -> bool:
        """True if items are waiting that can be released now."""
        return bool(self._waiting) and self._open is None

    def more(self) -> list[BlockEvent]:
        """Release the next waiting items; call it after the last event until not `behind`."""
        shown: list[BlockEvent] = []
        self._release(shown, _RELEASED_AT_END)
        return shown

    @property
    def text_index(self) -> int | None:
        """The index of the text block that takes deltas without `feed`, or None."""
        return None if self._waiting or self._builder.text_pieces is None else self._begun - 1

    def _opened(self, item: GrowingItem, shown: list[BlockEvent]) -> None:
        if self._last is ItemKind.MESSAGE and is_state_alone(item_of(item)):
            self._withheld.append(item)
            return
        self._waiting += self._withheld
        self._withheld.clear()
        self._last = item.kind
        if self._waiting or (self._open is not None and not _is_complete(self._open)):
            self._waiting.append(item)
            return
        if self._open is not None:
            self._end(shown)
        self._begin(item, shown)

    def _release(self, shown: list[BlockEvent], most: int) -> None:
        """Release at most `most` waiting items, up to the first one that may still grow."""
        while self._waiting and self._open is None and most:
            most -= 1
            item = self._waiting.popleft()
            self._begin(item, shown)
            for part in item.parts:
                self._grow(item, part, shown)
                self._cite(part, shown)
            if not item.is_open or (self._waiting and _is_complete(item)):
                self._end(shown)

    def _became_complete(self, arguments: GrowingPart) -> bool:
        """Return whether the last piece completed the open call, within the parsing budget.

        The budget is enough as long as pieces end in a brace as seldom as in ordinary JSON.
        Arguments of nothing but braces would be parsed again for every piece. Their block may end
        only when the item is closed.
        """
        if self._open is None or self._open.kind is not ItemKind.FUNCTION_CALL:
            return False
        self._parse_budget += _PARSE_BUDGET_PER_PIECE
        cost = self._size + _JOIN_COST * len(arguments.pieces)
        if cost > self._parse_budget or not arguments.pieces[-1].rstrip().endswith("}"):
            return False
        self._parse_budget -= cost
        return _is_object(arguments.text)

    def _begin(self, item: GrowingItem, shown: list[BlockEvent]) -> None:
        fields = {"index": self._begun, "content_block": _empty(item)}
        shown.append(BlockEvent("content_block_start", fields))
        self._begun += 1
        self._open, self._part = item, None
        self._size, self._parse_budget = 0, _PARSE_BUDGET
        if item.kind is ItemKind.CUSTOM_CALL:
            self._add(item, f'{{"{CUSTOM_INPUT}":"', shown)
        elif item.kind is ItemKind.NATIVE:
            self._add(item, native_input(item.native), shown)

    def _grow(self, item: GrowingItem, part: GrowingPart, shown: list[BlockEvent]) -> None:
        if part is not self._part:
            self._part, self._shown_pieces, self._cited = part, 0, 0
        text = "".join(part.pieces[self._shown_pieces :])
        self._shown_pieces = len(part.pieces)
        self._size += len(text)
        if text and item.kind is ItemKind.CUSTOM_CALL:
            text = msgspec.json.encode(text).decode()[1:-1]
        self._add(item, text, shown)

    def _add(self, item: GrowingItem, text: str, shown: list[BlockEvent]) -> None:
        if text:
            kind, field = _DELTAS[item.kind]
            self._delta(kind, field, text, shown)

    def _cite(self, part: GrowingPart, shown: list[BlockEvent]) -> None:
        """Show the citations of the open block's part that have not been shown."""
        if part is not self._part:
            self._part, self._shown_pieces, self._cited = part, 0, 0
        for annotation in part.annotations[self._cited :]:
            self._delta("citations_delta", "citation", citation_of(annotation, part.text), shown)
        self._cited = len(part.annotations)

    def _delta(self, kind: str, field: str, value: object, shown: list[BlockEvent]) -> None:
        fields = {"index": self._begun - 1, "delta": {"type": kind, field: value}}
        shown.append(BlockEvent("content_block_delta", fields))

    def _end(self, shown: list[BlockEvent]) -> None:
        item = self._open
        if item is not None and item.kind is ItemKind.CUSTOM_CALL:
            self._add(item, '"}', shown)
        elif item is not None and item.kind is ItemKind.REASONING:
            signature = thinking_fields(item.parts[0].text, item.api, item.state).get("signature")
            if signature:
                self._delta("signature_delta", "signature", signature, shown)
        shown.append(BlockEvent("content_block_stop", {"index": self._begun - 1}))
        self._open = None


def _empty(item: GrowingItem) -> object:
    match item.kind:
        case ItemKind.MESSAGE:
            return {"type": "text", "text": ""}
        case ItemKind.REASONING:
            # Reasoning of which nothing is shown has its state already, and may be redacted.
            block = thinking_fields("", item.api, item.state)
            redacted = not item.parts[0].pieces and "data" in block
            return block if redacted else thinking_fields("", None, None)
        case ItemKind.FUNCTION_CALL | ItemKind.CUSTOM_CALL:
            call = {"type": "tool_use", "id": item.call_id, "name": item.name, "input": {}}
            return call | call_extras(item.extras)
        case ItemKind.NATIVE:
            return without_input(item.native)


def _is_complete(call: GrowingItem) -> bool:
    """Return whether nothing more can be added to this call."""
    is_function = call.kind is ItemKind.FUNCTION_CALL
    return not call.is_open or (is_function and _is_object(call.parts[0].text))


def _is_object(text: str) -> bool:
    try:
        _read_object(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True
