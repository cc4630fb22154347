"""Answers so long that everybody would wait while they are put together: that is done in threads.

A thread takes turns with the event loop, but a single step of a C library is never interrupted. So
what is long is encoded and decoded a piece at a time.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter

import msgspec
from msgspec import Raw, Struct

from actors import events
from actors.answer_items import (
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
from actors.events import AnyEvent, Text

LONG_EVENTS = 1024
"""Events of which an answer is put together in 5 ms, whatever they are."""
LONG_TEXT = 1_048_576
"""Characters of texts, of which it is, too."""
LOGPROBS_COST = 16
"""So many times as much work is a character of logprobs as one of text."""
LONG_ITEMS = 65_536
"""Characters of kept items that are read and told again in that time."""

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode

_TEXTS: dict[type[AnyEvent], Callable[[AnyEvent], str]] = {
    **dict.fromkeys((Text, events.Reasoning, events.Refusal), attrgetter("delta")),
    **dict.fromkeys((events.ToolCallDelta, events.ToolCall), attrgetter("arguments")),
    events.Replace: attrgetter("text"),
}


def is_long(journal: Sequence[AnyEvent]) -> bool:
    """Whether putting the answer together may take more than 5 ms; finding out takes under 1 ms."""
    return len(journal) > LONG_EVENTS or sum(map(_cost, journal)) > LONG_TEXT


def _cost(event: AnyEvent) -> int:
    text_of = _TEXTS.get(type(event))
    if text_of is None:
        return 0
    logprobs = event.logprobs if type(event) is Text else None
    return len(text_of(event)) + (LOGPROBS_COST * len(logprobs) if logprobs else 0)


def kept_items(items: Sequence[Item], *, long: bool) -> str | None:
    """The items as they are kept, or None where there are none."""
    if not items:
        return None
    return (_encoded(items) if long else encode_items(items)).decode()


def read_items(kept: str) -> list[Item]:
    """The items of what is kept; raises `msgspec.MsgspecError` where it holds anything else."""
    if len(kept) <= LONG_ITEMS:
        return decode_items(kept)
    return [_item(_cut_item(item)) for item in _cut(kept)]


def _encoded(items: Sequence[Item]) -> bytes:
    return b"[%b]" % b",".join([_encoded_item(item) for item in items])


def _encoded_item(item: Item) -> bytes:
    if not isinstance(item, MessageItem):
        return _encode(item)
    return _encode(_CutMessage(status=item.status, parts=list(map(_encoded_part, item.parts))))


def _encoded_part(part: MessagePart) -> Raw:
    if not isinstance(part, TextPart):
        return Raw(_encode(part))
    logprobs = [Raw(_encode(piece)) for piece in part.logprobs]
    return Raw(_encode(_CutText(part.text, logprobs)))


class _CutText(Struct, tag="text", tag_field="type", omit_defaults=True):
    text: str
    logprobs: list[Raw] = []


class _CutMessage(Struct, tag="message", tag_field="type", kw_only=True):
    status: ItemStatus
    parts: list[Raw]


_cut = msgspec.json.Decoder(list[Raw]).decode
_cut_item = msgspec.json.Decoder(ReasoningItem | _CutMessage | FunctionCallItem).decode
_cut_part: Callable[[Raw], _CutText | RefusalPart] = msgspec.json.Decoder(
    _CutText | RefusalPart
).decode
_piece = msgspec.json.Decoder(str).decode


def _item(cut: ReasoningItem | _CutMessage | FunctionCallItem) -> Item:
    if not isinstance(cut, _CutMessage):
        return cut
    return MessageItem(status=cut.status, parts=tuple(map(_part, cut.parts)))


def _part(raw: Raw) -> MessagePart:
    cut = _cut_part(raw)
    if not isinstance(cut, _CutText):
        return cut
    return TextPart(cut.text, tuple(map(_piece, cut.logprobs)))
