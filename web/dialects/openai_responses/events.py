"""Renders each change of a growing answer as Responses events of its items and parts."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec import Raw

from actors.answer import changes
from actors.answer.changes import Grew, GrowingItem, GrowingPart, ItemKind, ItemStatus, PartKind
from actors.providers.formats.openai_responses.frames import API
from web.dialects.frames import Numbering
from web.dialects.openai_responses import items
from web.dialects.openai_responses.items import Fields
from web.dialects.openai_responses.logprobs import EncodedLogprobs

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


class _Grammar(NamedTuple):
    """The event and field names of one kind of part."""

    text: str
    """Prefix of the text events: `.delta` has one piece, `.done` the whole text."""
    field: str
    """Field of the `.done` event that has the whole text."""
    part: str | None
    """Prefix of the part's `.added` and `.done` events, or None if it has none."""
    counter: str | None
    """Field with the part's index, or None for a kind that occurs once per item."""


_CONTENT = "response.content_part"
_SUMMARY = "response.reasoning_summary_part"
_GRAMMARS = {
    PartKind.TEXT: _Grammar("response.output_text", "text", _CONTENT, "content_index"),
    PartKind.REFUSAL: _Grammar("response.refusal", "refusal", _CONTENT, "content_index"),
    PartKind.REASONING: _Grammar(
        "response.reasoning_summary_text", "text", _SUMMARY, "summary_index"
    ),
    PartKind.ARGUMENTS: _Grammar("response.function_call_arguments", "arguments", None, None),
    PartKind.INPUT: _Grammar("response.custom_tool_call_input", "input", None, None),
}

_NOT_CLOSED = Raw(b"null")


def _is_hidden(item: GrowingItem, part: GrowingPart) -> bool:
    """Return whether this is the empty text of encrypted reasoning: its summary has no part."""
    return item.state is not None and not part.pieces


class ResponseEvents:
    """Renderer of the events of one response.

    `output` holds its items, each encoded when it is closed. `form` is the `%` format for the frame
    of a piece of the reasoning, text or refusal part that is open now. Its values are the frame
    number, twice, and the JSON of the piece.
    """

    def __init__(self, numbering: Numbering) -> None:
        self.output: list[Raw] = []
        self.weight = 0
        """Characters that the last event will repeat, without those of open parts."""
        self.form = b""
        self._numbering = numbering
        self._take = numbering.take
        self._turn_id = ""
        self._parts: dict[int, list[Raw]] = {}
        """Encoded closed parts of each open item, by the item's index."""
        self._positions: dict[int, int] = {}
        """Index in `output` of each item, which differs from its own behind items not shown."""
        self._forms: dict[tuple[int, int, bool], bytes] = {}
        """Formats of delta events, by item index, part index and presence of logprobs."""
        self._said: tuple[GrowingItem, GrowingPart] | None = None
        """The item and part that `form` is for."""
        self._logprobs = EncodedLogprobs()
        """Logprobs of the open text part."""
        self.set_forms()

    def begin(self, turn_id: str) -> None:
        """Set the turn from which the ids of items are made."""
        self._turn_id = turn_id

    def set_forms(self) -> None:
        """Rebuild the formats for the numbering's current epoch."""
        self._event_form = self._numbering.form(b"%b", b'{"type":"%b","sequence_number":%d,%b')
        self._forms.clear()
        if self._said is not None:
            self.form = self._kept_form(*self._said, with_logprobs=False)

    def event(self, name: str, fields: Fields) -> bytes:
        """Return the frame of an event with these fields, or b"" if the client has it."""
        number = self._take()
        if number < 0:
            return b""
        event = name.encode()
        return self._event_form % (number, event, event, number, _encode(fields)[1:])

    def change(self, change: changes.Change) -> bytes:
        """Return the frames of one change."""
        match change:
            case Grew():
                return self._grew(change)
            case changes.Annotated():
                return self._annotated(change)
            case _ if change.item.kind is ItemKind.NATIVE and change.item.api != API:
                return b""
            case changes.ItemOpened(item):
                return self._item_opened(item)
            case changes.PartOpened(item, part):
                return self._part_opened(item, part)
            case changes.PartClosed(item, part):
                return self._part_closed(item, part)
            case changes.ItemClosed(item):
                return self._item_closed(item)

    def _item_opened(self, item: GrowingItem) -> bytes:
        self._positions[item.index] = len(self.output)
        self.output.append(_NOT_CLOSED)
        self._parts[item.index] = []
        added = self._item(item, "")
        if item.kind is not ItemKind.NATIVE or "status" in added:
            added["status"] = ItemStatus.IN_PROGRESS
        return self._item_event("added", item, added)

    def _item_closed(self, item: GrowingItem) -> bytes:
        is_call = item.kind in (ItemKind.FUNCTION_CALL, ItemKind.CUSTOM_CALL)
        encoded = _encode(self._item(item, item.parts[0].text if is_call else ""))
        self.weight += len(encoded)
        encoded_item = self.output[self._positions[item.index]] = Raw(encoded)
        del self._parts[item.index]
        return self._item_event("done", item, encoded_item)

    def _item_event(self, what: str, item: GrowingItem, encoded_item: object) -> bytes:
        fields: Fields = {"output_index": self._positions[item.index], "item": encoded_item}
        return self.event(f"response.output_item.{what}", fields)

    def _item(self, item: GrowingItem, arguments: str) -> Fields:
        id, parts = self._id(item), self._parts[item.index]
        match item.kind:
            case ItemKind.MESSAGE:
                return items.message_fields(id, item.status, parts, item.phase)
            case ItemKind.REASONING:
                return items.reasoning_fields(id, item.status, parts, item.api, item.state)
            case ItemKind.FUNCTION_CALL:
                call = items.call_item(item.call_id, item.name, arguments, item.status)
                return {"id": id, **call, **items.call_extras(item.extras)}
            case ItemKind.CUSTOM_CALL:
                call = items.custom_call_item(item.call_id, item.name, arguments, item.status)
                return {"id": id, **call, **items.call_extras(item.extras)}
            case ItemKind.NATIVE:
                return items.native_fields(id, item.native)

    def _part_opened(self, item: GrowingItem, part: GrowingPart) -> bytes:
        name = _GRAMMARS[part.kind].part
        if name is None or _is_hidden(item, part):
            return b""
        self._said = item, part
        self._logprobs = EncodedLogprobs()
        self.form = self._kept_form(item, part, with_logprobs=False)
        opened = {**self._place(item, part), "part": items.part_fields(part.kind, "")}
        return self.event(f"{name}.added", opened)

    def _part_closed(self, item: GrowingItem, part: GrowingPart) -> bytes:
        if _is_hidden(item, part):
            return b""
        for with_logprobs in (False, True):
            self._forms.pop((item.index, part.index, with_logprobs), None)
        grammar, place, text = _GRAMMARS[part.kind], self._place(item, part), part.text
        done: Fields = {**place, grammar.field: text}
        if part.kind is PartKind.TEXT:
            done["logprobs"] = self._logprobs.in_delta
        frames = self.event(f"{grammar.text}.done", done)
        if grammar.part is None:
            return frames
        logprobs, annotations = self._logprobs.in_part, part.annotations
        encoded_item = Raw(_encode(items.part_fields(part.kind, text, logprobs, annotations)))
        self._parts[item.index].append(encoded_item)
        closed: Fields = {**place, "part": encoded_item}
        if part.kind is PartKind.REASONING and item.status is ItemStatus.INCOMPLETE:
            closed["status"] = item.status
        return frames + self.event(f"{grammar.part}.done", closed)

    def _grew(self, grew: Grew) -> bytes:
        number, given = self._take(), grew.logprobs
        logprobs = None
        if given is not None:
            logprobs = self._logprobs.add(given)
            self.weight += len(given)
        if number < 0:
            return b""
        form = self._kept_form(grew.item, grew.part, with_logprobs=logprobs is not None)
        if logprobs is None:
            return form % (number, number, _encode(grew.delta))
        return form % (number, number, _encode(grew.delta), logprobs)

    def _annotated(self, change: changes.Annotated) -> bytes:
        self.weight += len(change.annotation)
        fields: Fields = {
            **self._place(change.item, change.part),
            "annotation_index": len(change.part.annotations) - 1,
            "annotation": items.annotation_fields(change.annotation),
        }
        return self.event("response.output_text.annotation.added", fields)

    def _kept_form(self, item: GrowingItem, part: GrowingPart, *, with_logprobs: bool) -> bytes:
        place = item.index, part.index, with_logprobs
        form = self._forms.get(place)
        if form is None:
            tail = b',"logprobs":[]' if part.kind is PartKind.TEXT else b""
            if with_logprobs:
                tail = b',"logprobs":%b'
            form = self._forms[place] = self._delta_form(item, part, tail)
        return form

    def _delta_form(self, item: GrowingItem, part: GrowingPart, tail: bytes) -> bytes:
        event = f"{_GRAMMARS[part.kind].text}.delta".encode()
        place = _encode(self._place(item, part))[1:-1].replace(b"%", b"%%")
        body = b'{"type":"%b","sequence_number":%%d,%b,"delta":%%b%b}' % (event, place, tail)
        return self._numbering.form(event, body)

    def _place(self, item: GrowingItem, part: GrowingPart) -> Fields:
        position = self._positions[item.index]
        place: Fields = {"item_id": self._id(item), "output_index": position}
        counter = _GRAMMARS[part.kind].counter
        if counter is not None:
            place[counter] = part.index
        return place

    def _id(self, item: GrowingItem) -> str:
        return items.item_id(self._turn_id, item.kind, item.index)
