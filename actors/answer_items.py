"""The items of an answer, as plain records: to be shown by a dialect, or kept as JSON.

They say what the journal says and nothing of how a dialect spells it. An item's place in the list
is its index; ids of items are derived from that and from the turn's id.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from actors.answer_growth import AnswerGrowth
from actors.answer_parts import GrowingItem, GrowingPart, ItemKind, PartKind
from actors.answer_parts import ItemStatus as ItemStatus
from actors.events import AnyEvent, Text


class TextPart(Struct, frozen=True, tag="text", tag_field="type", omit_defaults=True):
    """Visible text; `logprobs` are the provider's objects for it, in order, as JSON texts."""

    text: str
    logprobs: tuple[str, ...] = ()


class RefusalPart(Struct, frozen=True, tag="refusal", tag_field="type"):
    """Text of a refusal."""

    refusal: str


MessagePart = TextPart | RefusalPart


class _Item(Struct, frozen=True, tag_field="type", kw_only=True):
    status: ItemStatus


class ReasoningItem(_Item, frozen=True, tag="reasoning", kw_only=True):
    """Thinking that the provider showed."""

    text: str


class MessageItem(_Item, frozen=True, tag="message", kw_only=True):
    """A message to the client."""

    parts: tuple[MessagePart, ...]


class FunctionCallItem(_Item, frozen=True, tag="function_call", kw_only=True):
    """A call of one of the client's functions.

    `call_id` is the provider's own; one that is derived from the turn where it gave none, or the
    same one twice. `arguments` is the JSON text that the model wrote, which may be broken.
    """

    call_id: str
    name: str
    arguments: str


Item = ReasoningItem | MessageItem | FunctionCallItem


def items_of(journal: Iterable[AnyEvent]) -> list[Item]:
    """The items of the answer, as far as it has come; whole where the journal is.

    Where the answer was begun anew (`retry`) only what came after that; where its text was
    replaced, the replacement in the place of its first text.
    """
    growth = AnswerGrowth()
    for event in journal:
        if type(event) is Text and growth.said is Text and event.logprobs is None:
            growth.pieces.append(event.delta)
        else:
            growth.feed(event)
    return [item_of(item) for item in growth.items]


def item_of(item: GrowingItem) -> Item:
    """The record of an item as it is now."""
    match item.kind:
        case ItemKind.MESSAGE:
            return MessageItem(status=item.status, parts=tuple(map(part_of, item.parts)))
        case ItemKind.REASONING:
            return ReasoningItem(status=item.status, text=item.parts[0].text)
        case ItemKind.FUNCTION_CALL:
            return FunctionCallItem(
                status=item.status,
                call_id=item.call_id,
                name=item.name,
                arguments=item.parts[0].text,
            )


def part_of(part: GrowingPart) -> MessagePart:
    """The record of a message's part as it is now."""
    if part.kind is PartKind.TEXT:
        return TextPart(part.text, tuple(part.logprobs))
    return RefusalPart(part.text)


def encode_items(items: Sequence[Item]) -> bytes:
    """Items as a JSON array."""
    return msgspec.json.encode(items)


def decode_items(data: bytes | str) -> list[Item]:
    """The items of a JSON array; raises `msgspec.MsgspecError` where it holds anything else."""
    return _decoder.decode(data)


_decoder = msgspec.json.Decoder(list[Item])
