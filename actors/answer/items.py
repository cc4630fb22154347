"""Output items of an answer as plain records, for rendering by a dialect or storage as JSON.

They are independent of the dialects. An item's index is its position in the list; item ids are
derived from that index and the turn's id.
"""

import msgspec
from msgspec import Struct

from actors.answer.builder import AnswerBuilder
from actors.answer.changes import GrowingItem, GrowingPart, ItemKind, PartKind
from actors.answer.changes import ItemStatus as ItemStatus


class TextPart(Struct, frozen=True, tag="text", tag_field="type", omit_defaults=True):
    """A part with visible text.

    `logprobs` has the provider's logprobs objects, and `annotations` the citations in the form of
    the Responses API, each as JSON.
    """

    text: str
    logprobs: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()


class RefusalPart(Struct, frozen=True, tag="refusal", tag_field="type"):
    """A part with the text of a refusal."""

    refusal: str


MessagePart = TextPart | RefusalPart


class _Item(Struct, frozen=True, tag_field="type", omit_defaults=True, kw_only=True):
    status: ItemStatus


class ReasoningItem(_Item, frozen=True, tag="reasoning", kw_only=True):
    """An item with the reasoning that the provider showed.

    `state` is what providers of the format `api` want to get back with it, as JSON.
    """

    text: str
    api: str | None = None
    state: str | None = None


class MessageItem(_Item, frozen=True, tag="message", kw_only=True):
    """A message item of text and refusal parts."""

    parts: tuple[MessagePart, ...]
    phase: str | None = None


class FunctionCallItem(_Item, frozen=True, tag="function_call", kw_only=True):
    """A call of one of the client's functions.

    `call_id` is the provider's, or derived from the turn's id if the provider sent none or a
    duplicate. `arguments` is the JSON text that the model wrote and may be invalid.
    """

    call_id: str
    name: str
    arguments: str
    extras: str | None = None
    """JSON object of fields that one API has, such as `namespace`."""


class CustomCallItem(_Item, frozen=True, tag="custom_call", kw_only=True):
    """A call of one of the client's custom tools, whose input is free text."""

    call_id: str
    name: str
    input: str
    extras: str | None = None


class NativeItem(_Item, frozen=True, tag="native", kw_only=True):
    """An item, as JSON, of a kind that only the API of the format `api` has."""

    api: str
    item: str


Item = ReasoningItem | MessageItem | FunctionCallItem | CustomCallItem | NativeItem


def items_of(answer: AnswerBuilder) -> list[Item]:
    """Return the items of an answer in their current state."""
    return [item_of(item) for item in answer.items]


class _Identified(Struct):
    id: str | None = None


_decode_id = msgspec.json.Decoder(_Identified).decode


def native_ids(answer: AnswerBuilder) -> tuple[str, ...]:
    """Return the ids that providers gave to items."""
    natives = [item.native for item in answer.items if item.kind is ItemKind.NATIVE]
    return tuple(id for native in natives if (id := _id_of(native)))


def _id_of(native: str) -> str | None:
    try:
        return _decode_id(native).id
    except msgspec.ValidationError:
        return None


def item_of(item: GrowingItem) -> Item:
    """Return the record of an item in its current state."""
    match item.kind:
        case ItemKind.MESSAGE:
            parts = tuple(map(part_of, item.parts))
            return MessageItem(status=item.status, parts=parts, phase=item.phase)
        case ItemKind.REASONING:
            text = item.parts[0].text
            return ReasoningItem(status=item.status, text=text, api=item.api, state=item.state)
        case ItemKind.FUNCTION_CALL:
            return FunctionCallItem(
                status=item.status,
                call_id=item.call_id,
                name=item.name,
                arguments=item.parts[0].text,
                extras=item.extras,
            )
        case ItemKind.CUSTOM_CALL:
            return CustomCallItem(
                status=item.status,
                call_id=item.call_id,
                name=item.name,
                input=item.parts[0].text,
                extras=item.extras,
            )
        case ItemKind.NATIVE:
            return NativeItem(status=item.status, api=item.api or "", item=item.native)


def part_of(part: GrowingPart) -> MessagePart:
    """Return the record of a message part in its current state."""
    if part.kind is PartKind.TEXT:
        return TextPart(part.text, tuple(part.logprobs), tuple(part.annotations))
    return RefusalPart(part.text)
