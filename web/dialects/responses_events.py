"""The events about items and their parts: what each change of a growing answer is told as."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec import Raw

from actors.answer_parts import (
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
from web.dialects.frames import Numbering
from web.dialects.responses_items import (
    Fields,
    call_fields,
    item_id,
    message_fields,
    part_fields,
    reasoning_fields,
)
from web.dialects.responses_logprobs import SpelledLogprobs

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


class _Grammar(NamedTuple):
    """The events of one kind of part."""

    text: str
    """`….delta` brings a piece of it, `….done` all of it, …"""
    field: str
    """… in this field."""
    part: str | None
    """`….added` and `….done` are its begin and its end; None where it has none of its own."""
    counter: str | None
    """The field that says which part it is; None where there is only one."""


_CONTENT = "response.content_part"
_SUMMARY = "response.reasoning_summary_part"
_GRAMMARS = {
    PartKind.TEXT: _Grammar("response.output_text", "text", _CONTENT, "content_index"),
    PartKind.REFUSAL: _Grammar("response.refusal", "refusal", _CONTENT, "content_index"),
    PartKind.REASONING: _Grammar(
        "response.reasoning_summary_text", "text", _SUMMARY, "summary_index"
    ),
    PartKind.ARGUMENTS: _Grammar("response.function_call_arguments", "arguments", None, None),
}

_PLAIN_TAILS = {
    PartKind.TEXT: b',"logprobs":[]',
    PartKind.REFUSAL: b"",
    PartKind.REASONING: b"",
    PartKind.ARGUMENTS: b"",
}
"""What a delta of a kind of part has besides its place."""

_NOT_CLOSED = Raw(b"null")


class ResponseEvents:
    """Spells the events of one response, in their order.

    `output` has its items, each spelled when it is closed. `form` makes the frame of a piece of
    the thinking, text or refusal that is open now, of its number (twice) and the piece's JSON.
    """

    def __init__(self, numbering: Numbering) -> None:
        self.output: list[Raw] = []
        self.weight = 0
        """Characters that the last event will repeat; without those of texts that are open."""
        self.form = b""
        self._numbering = numbering
        self._take = numbering.take
        self._turn_id = ""
        self._parts: dict[int, list[Raw]] = {}
        """Parts that are closed, by the index of their item, which is not."""
        self._forms: dict[tuple[int, int, bool], bytes] = {}
        """Of the deltas of open parts, by the indexes of item and part, with logprobs or not."""
        self._said: tuple[GrowingItem, GrowingPart] | None = None
        """What `form` is for."""
        self._logprobs = SpelledLogprobs()
        """Those of the open text."""
        self.set_forms()

    def begin(self, turn_id: str) -> None:
        """Ids are of this turn."""
        self._turn_id = turn_id

    def set_forms(self) -> None:
        """Frames from here on are of the epoch that the numbering has now."""
        self._event_form = self._numbering.form(b"%b", b'{"type":"%b","sequence_number":%d,%b')
        self._forms.clear()
        if self._said is not None:
            self.form = self._kept_form(*self._said, with_logprobs=False)

    def event(self, name: str, fields: Fields) -> bytes:
        """The frame of an event with these fields, or nothing if the client has it."""
        number = self._take()
        if number < 0:
            return b""
        event = name.encode()
        return self._event_form % (number, event, event, number, _encode(fields)[1:])

    def change(self, change: Change) -> bytes:
        """The frames of one change."""
        match change:
            case Grew():
                return self._grew(change)
            case ItemOpened(item):
                return self._item_opened(item)
            case PartOpened(item, part):
                return self._part_opened(item, part)
            case PartClosed(item, part):
                return self._part_closed(item, part)
            case ItemClosed(item):
                return self._item_closed(item)

    def _item_opened(self, item: GrowingItem) -> bytes:
        self.output.append(_NOT_CLOSED)
        self._parts[item.index] = []
        added = self._item(item, "")
        added["status"] = ItemStatus.IN_PROGRESS
        return self._item_event("added", item, added)

    def _item_closed(self, item: GrowingItem) -> bytes:
        arguments = item.parts[0].text if item.kind is ItemKind.FUNCTION_CALL else ""
        encoded = _encode(self._item(item, arguments))
        self.weight += len(encoded)
        spelled = self.output[item.index] = Raw(encoded)
        del self._parts[item.index]
        return self._item_event("done", item, spelled)

    def _item_event(self, what: str, item: GrowingItem, spelled: object) -> bytes:
        fields: Fields = {"output_index": item.index, "item": spelled}
        return self.event(f"response.output_item.{what}", fields)

    def _item(self, item: GrowingItem, arguments: str) -> Fields:
        id, parts = self._id(item), self._parts[item.index]
        match item.kind:
            case ItemKind.MESSAGE:
                return message_fields(id, item.status, parts)
            case ItemKind.REASONING:
                return reasoning_fields(id, item.status, parts)
            case ItemKind.FUNCTION_CALL:
                return call_fields(id, item.status, item.call_id, item.name, arguments)

    def _part_opened(self, item: GrowingItem, part: GrowingPart) -> bytes:
        name = _GRAMMARS[part.kind].part
        if name is None:
            return b""
        self._said = item, part
        self._logprobs = SpelledLogprobs()
        self.form = self._kept_form(item, part, with_logprobs=False)
        opened = {**self._place(item, part), "part": part_fields(part.kind, "")}
        return self.event(f"{name}.added", opened)

    def _part_closed(self, item: GrowingItem, part: GrowingPart) -> bytes:
        for with_logprobs in (False, True):
            self._forms.pop((item.index, part.index, with_logprobs), None)
        grammar, place, text = _GRAMMARS[part.kind], self._place(item, part), part.text
        done: Fields = {**place, grammar.field: text}
        if part.kind is PartKind.TEXT:
            done["logprobs"] = self._logprobs.in_delta
        frames = self.event(f"{grammar.text}.done", done)
        if grammar.part is None:
            return frames
        spelled = Raw(_encode(self._closed_part(part, text)))
        self._parts[item.index].append(spelled)
        closed: Fields = {**place, "part": spelled}
        if part.kind is PartKind.REASONING and item.status is ItemStatus.INCOMPLETE:
            closed["status"] = item.status
        return frames + self.event(f"{grammar.part}.done", closed)

    def _closed_part(self, part: GrowingPart, text: str) -> Fields:
        if part.kind is PartKind.TEXT:
            return part_fields(part.kind, text, self._logprobs.in_part)
        return part_fields(part.kind, text)

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

    def _kept_form(self, item: GrowingItem, part: GrowingPart, *, with_logprobs: bool) -> bytes:
        place = item.index, part.index, with_logprobs
        form = self._forms.get(place)
        if form is None:
            tail = b',"logprobs":%b' if with_logprobs else _PLAIN_TAILS[part.kind]
            form = self._forms[place] = self._delta_form(item, part, tail)
        return form

    def _delta_form(self, item: GrowingItem, part: GrowingPart, tail: bytes) -> bytes:
        event = f"{_GRAMMARS[part.kind].text}.delta".encode()
        place = _encode(self._place(item, part))[1:-1].replace(b"%", b"%%")
        body = b'{"type":"%b","sequence_number":%%d,%b,"delta":%%b%b}' % (event, place, tail)
        return self._numbering.form(event, body)

    def _place(self, item: GrowingItem, part: GrowingPart) -> Fields:
        place: Fields = {"item_id": self._id(item), "output_index": item.index}
        counter = _GRAMMARS[part.kind].counter
        if counter is not None:
            place[counter] = part.index
        return place

    def _id(self, item: GrowingItem) -> str:
        return item_id(self._turn_id, item.kind, item.index)
