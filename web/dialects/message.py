"""The whole Message object of a turn that was asked for without streaming."""

from collections.abc import Sequence

from actors.answer_items import FunctionCallItem, Item, ReasoningItem, TextPart, items_of
from actors.events import AnyEvent, Ended, Started
from actors.providers.neutral import object_of
from web.dialects.messages import STOP_REASONS, message_object, stopped, usage_object

INVALID = "INVALID_JSON"
"""The field of `input` with arguments that are no JSON object; a stream shows them as they are.

So Anthropic's page "Fine-grained tool streaming" names it. An empty `input` in its place could be
taken for a call without arguments."""


def has_stop(ended: Ended) -> bool:
    """Whether the turn ended in a way that a message can tell truthfully."""
    return ended.reason in STOP_REASONS


def message(journal: list[AnyEvent], items: Sequence[Item] | None = None) -> dict[str, object]:
    """The object for a whole journal, whose end `has_stop`; with its `items`, if they are known."""
    started, ended = journal[0], journal[-1]
    if not isinstance(started, Started) or not isinstance(ended, Ended):
        raise ValueError("a message needs a whole journal")
    whole = message_object(started, ended.upstream_model or started.model)
    whole["content"] = [_block(item) for item in (items_of(journal) if items is None else items)]
    whole |= stopped(STOP_REASONS[ended.reason])
    if ended.usage is not None:
        whole["usage"] = usage_object(ended.usage)
    return whole


def _block(item: Item) -> dict[str, object]:
    if isinstance(item, ReasoningItem):
        return {"type": "thinking", "thinking": item.text, "signature": ""}
    if isinstance(item, FunctionCallItem):
        call = {"type": "tool_use", "id": item.call_id, "name": item.name}
        return call | {"input": _input(item.arguments)}
    said = [part.text if isinstance(part, TextPart) else part.refusal for part in item.parts]
    return {"type": "text", "text": "".join(said)}


def _input(arguments: str) -> dict[str, object]:
    if not arguments.strip():
        return {}
    found = object_of(arguments)
    return {INVALID: arguments} if found is None else found
