"""Builds the Message object that answers a non-streaming request."""

from collections.abc import Sequence

from msgspec import Raw

from actors.answer.builder import AnswerBuilder, fold
from actors.answer.items import (
    CustomCallItem,
    FunctionCallItem,
    Item,
    MessageItem,
    MessagePart,
    NativeItem,
    ReasoningItem,
    TextPart,
    items_of,
)
from actors.providers.formats.conversion import object_of
from actors.turn.events import AnyEvent, Ended, Started
from actors.turn.model_call import CUSTOM_INPUT
from web.dialects.anthropic_messages.blocks import NATIVE_API
from web.dialects.anthropic_messages.opaque_fields import (
    call_extras,
    citation_of,
    is_state_alone,
    thinking_fields,
)
from web.dialects.anthropic_messages.stream import (
    NAME,
    STOP_REASONS,
    Messages,
    message_object,
    stopped,
    usage_object,
)
from web.dialects.base import DialectSpec

INVALID = "INVALID_JSON"
"""Field of `input` that holds arguments which are not a JSON object.

The name is from Anthropic's page "Fine-grained tool streaming". An empty `input` could be taken for
a call without arguments. A stream shows such arguments unchanged."""


def message(journal: list[AnyEvent], answer: AnswerBuilder | None = None) -> dict[str, object]:
    """Return the Message object for a complete journal whose end has a stop reason.

    `answer` is the fold of the journal, if there is one already.
    """
    started, ended = journal[0], journal[-1]
    if not isinstance(started, Started) or not isinstance(ended, Ended):
        raise ValueError("the journal must begin with Started and end with Ended")
    whole = message_object(started)
    items = [item for item in items_of(answer or fold(journal)) if is_shown(item)]
    whole["content"] = [_block(item) for item in _without_last_state(items)]
    whole |= stopped(ended)
    if ended.usage is not None:
        whole["usage"] = usage_object(ended.usage)
    return whole


def is_shown(item: Item) -> bool:
    """Return False for items that only other APIs have."""
    return not isinstance(item, NativeItem) or item.api == NATIVE_API


def _without_last_state(items: list[Item]) -> list[Item]:
    """Return the items without states behind a last text, as in `Blocks`."""
    end = len(items)
    while end and is_state_alone(items[end - 1]):
        end -= 1
    return items[:end] if end and isinstance(items[end - 1], MessageItem) else items


def _block(item: Item) -> object:
    match item:
        case ReasoningItem(text=text, api=api, state=state):
            return thinking_fields(text, api, state)
        case FunctionCallItem(call_id=id, name=name, arguments=arguments, extras=extras):
            call = {"type": "tool_use", "id": id, "name": name, "input": _input(arguments)}
            return call | call_extras(extras)
        case CustomCallItem(call_id=id, name=name, input=text):
            return {"type": "tool_use", "id": id, "name": name, "input": {CUSTOM_INPUT: text}}
        case NativeItem(item=native):
            return Raw(native.encode())
        case MessageItem(parts=parts):
            return _text_block(parts)


def _text_block(parts: Sequence[MessagePart]) -> dict[str, object]:
    texts = [part.text if isinstance(part, TextPart) else part.refusal for part in parts]
    block: dict[str, object] = {"type": "text", "text": "".join(texts)}
    citations = [
        citation_of(annotation, part.text)
        for part in parts
        if isinstance(part, TextPart)
        for annotation in part.annotations
    ]
    return block | ({"citations": citations} if citations else {})


def _input(arguments: str) -> dict[str, object]:
    # Blank arguments are a call without arguments, not invalid JSON.
    if not arguments.strip():
        return {}
    found = object_of(arguments)
    return {INVALID: arguments} if found is None else found


DIALECT = DialectSpec(
    name=NAME,
    stream=Messages,
    whole=lambda journal, options, answer: message(journal, answer),
    finishes=frozenset(STOP_REASONS),
)
