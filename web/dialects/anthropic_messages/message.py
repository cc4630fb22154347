"""Builds the Message object that answers a non-streaming request."""

from actors.answer.builder import AnswerBuilder, fold
from actors.answer.items import FunctionCallItem, Item, ReasoningItem, TextPart, items_of
from actors.providers.formats.conversion import object_of
from actors.turn.events import AnyEvent, Ended, Started
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
    whole = message_object(started, ended.upstream_model or started.model)
    whole["content"] = [_block(item) for item in items_of(answer or fold(journal))]
    whole |= stopped(ended)
    if ended.usage is not None:
        whole["usage"] = usage_object(ended.usage)
    return whole


def _block(item: Item) -> dict[str, object]:
    if isinstance(item, ReasoningItem):
        return {"type": "thinking", "thinking": item.text, "signature": ""}
    if isinstance(item, FunctionCallItem):
        call = {"type": "tool_use", "id": item.call_id, "name": item.name}
        return call | {"input": _input(item.arguments)}
    texts = [part.text if isinstance(part, TextPart) else part.refusal for part in item.parts]
    return {"type": "text", "text": "".join(texts)}


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
