"""Long answers: detects them and encodes and decodes their items piece by piece.

Work on a long answer is offloaded to a thread so that it doesn't block the event loop. But a
single call into a C library keeps the GIL, so long items are encoded and decoded in pieces.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter

import msgspec
from msgspec import Raw, Struct

from actors.answer.items import (
    FunctionCallItem,
    Item,
    ItemStatus,
    MessageItem,
    MessagePart,
    ReasoningItem,
    RefusalPart,
    TextPart,
    decode_items,
    encode_items,
)
from actors.turn import events
from actors.turn.events import AnyEvent, Text

LONG_EVENTS = 1024
"""Number of events from which an answer can be assembled within 5 ms."""
LONG_TEXT = 1_048_576
"""Characters of text from which an answer can be assembled within 5 ms."""
LOGPROBS_COST = 16
"""Cost of one character of logprobs relative to one of text."""
LONG_ITEMS = 65_536
"""Characters of stored items that can be decoded and rendered again within 5 ms."""

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode

_TEXTS: dict[type[AnyEvent], Callable[[AnyEvent], str]] = {
    **dict.fromkeys((Text, events.Reasoning, events.Refusal), attrgetter("delta")),
    **dict.fromkeys((events.ToolCallDelta, events.ToolCall), attrgetter("arguments")),
    events.Replace: attrgetter("text"),
}


def is_long(journal: Sequence[AnyEvent]) -> bool:
    """Return True if assembling the answer may take over 5 ms; the check takes under 1 ms."""
    return len(journal) > LONG_EVENTS or sum(map(_cost, journal)) > LONG_TEXT


def _cost(event: AnyEvent) -> int:
    text_of = _TEXTS.get(type(event))
    if text_of is None:
        return 0
    logprobs = event.logprobs if type(event) is Text else None
    return len(text_of(event)) + (LOGPROBS_COST * len(logprobs) if logprobs else 0)


def encode_stored_items(items: Sequence[Item], *, long: bool) -> str | None:
    """Encode the items for storage, or return None for no items."""
    if not items:
        return None
    return (_encoded(items) if long else encode_items(items)).decode()


def read_items(kept: str) -> list[Item]:
    """Decode stored items; raises `msgspec.MsgspecError` for any other content."""
    if len(kept) <= LONG_ITEMS:
        return decode_items(kept)
    return [_item(_split_item(item)) for item in _split(kept)]


def _encoded(items: Sequence[Item]) -> bytes:
    return b"[%b]" % b",".join([_encoded_item(item) for item in items])


def _encoded_item(item: Item) -> bytes:
    if not isinstance(item, MessageItem):
        return _encode(item)
    return _encode(_RawMessage(status=item.status, parts=list(map(_encoded_part, item.parts))))


def _encoded_part(part: MessagePart) -> Raw:
    if not isinstance(part, TextPart):
        return Raw(_encode(part))
    logprobs = [Raw(_encode(piece)) for piece in part.logprobs]
    return Raw(_encode(_RawText(part.text, logprobs)))


class _RawText(Struct, tag="text", tag_field="type", omit_defaults=True):
    text: str
    logprobs: list[Raw] = []


class _RawMessage(Struct, tag="message", tag_field="type", kw_only=True):
    status: ItemStatus
    parts: list[Raw]


_split = msgspec.json.Decoder(list[Raw]).decode
_split_item = msgspec.json.Decoder(ReasoningItem | _RawMessage | FunctionCallItem).decode
_split_part: Callable[[Raw], _RawText | RefusalPart] = msgspec.json.Decoder(
    _RawText | RefusalPart
).decode
_piece = msgspec.json.Decoder(str).decode


def _item(raw_item: ReasoningItem | _RawMessage | FunctionCallItem) -> Item:
    if not isinstance(raw_item, _RawMessage):
        return raw_item
    return MessageItem(status=raw_item.status, parts=tuple(map(_part, raw_item.parts)))


def _part(raw: Raw) -> MessagePart:
    part = _split_part(raw)
    if not isinstance(part, _RawText):
        return part
    return TextPart(part.text, tuple(map(_piece, part.logprobs)))
