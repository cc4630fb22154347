"""Writes a conversation as the request of a route that speaks Responses. Pure.

Items and tools stay as the client sent them. What this server made is removed: ids that no provider
knows, and sealed summaries.
"""

from collections.abc import Iterator, Sequence

from actors.providers.formats.openai_responses.frames import API
from actors.turn.messages import Message
from actors.turn.model_call import JSON, NativeRequest
from web.dialects.openai_responses.items import is_ours
from web.surfaces.responses.history.conversation import Conversation
from web.surfaces.responses.history.message_groups import CALLS, OUTPUTS, MessageGroup
from web.surfaces.responses.input.compaction_summary import summary_message
from web.surfaces.responses.input.items import Item
from web.surfaces.responses.request import ResponsesRequest

_KNOWN = CALLS | OUTPUTS | {"reasoning"}
"""Types of items whose ids and statuses say nothing to a provider."""
_OF_MESSAGES = frozenset({"id", "type", "status", "role", "content"})
_WITHOUT_CHAT_TOOLS = dict.fromkeys(("tools", "tool_choice", "parallel_tool_calls"))
"""Parameters that the call has in another form, and which these routes don't get."""
_EXPRESSED = frozenset({"tools", "tool_choice", "service_tier"})
"""Parameters that other routes get in another form."""


def native_request(
    request: ResponsesRequest,
    conversation: Conversation,
    messages: tuple[Message, ...],
    kept: Sequence[MessageGroup],
) -> NativeRequest:
    """Return the native request of `messages`, for which these groups were kept."""
    dropped = {place for group in conversation.groups for place in group.places}
    dropped -= {place for group in kept for place in group.places}
    places = range(len(conversation.items))
    kept_places = [place for place in places if place not in dropped | conversation.orphans]
    sent = [(place, _sent(conversation.items[place])) for place in kept_places]
    parameters = _WITHOUT_CHAT_TOOLS | request.native
    if conversation.instructions:
        parameters["instructions"] = conversation.instructions
    if request.parallel is not None and conversation.has_tools:
        parameters["parallel_tool_calls"] = request.parallel
    return NativeRequest(
        api=API,
        messages=messages,
        items=tuple(item for _, item in sent if item is not None),
        parameters=parameters,
        unexpressed=(*conversation.unexpressed, *_unexpressed(request.native)),
        left_out=tuple(conversation.paths[place] for place, item in sent if item is None),
    )


def _unexpressed(parameters: dict[str, JSON]) -> Iterator[str]:
    for name, value in parameters.items():
        match value:
            case _ if name in _EXPRESSED:
                pass
            case dict():
                yield from (f"{name}.{inner}" for inner in value)
            case list():
                yield from (f"{name}[{index}] ({one!s:.100})" for index, one in enumerate(value))
            case _:
                yield name


def _sent(item: Item) -> Item | None:
    """Return the item as a provider gets it, or None if no provider can read it."""
    kind = item["type"]
    if kind == "message":
        plain = {"role": item["role"], "content": _content(item["content"])}
        others = {name: item[name] for name in item if name not in _OF_MESSAGES}
        return {**plain, **others} if others else plain
    if kind == "compaction" and (summary := summary_message(item["encrypted_content"])):
        return {"role": summary.role, "content": summary.content}
    if kind == "reasoning" and not item.get("encrypted_content"):
        return None
    ours = kind in _KNOWN or is_ours(str(item.get("id")))
    removed = ("id", "status") if kind in _KNOWN else ("id",)
    return {name: item[name] for name in item if name not in removed} if ours else item


def _content(parts: JSON) -> JSON:
    """Return content without logprobs.

    A single plain text becomes a string, the form that all servers accept.
    """
    if not isinstance(parts, list):
        return parts
    part = parts[0] if len(parts) == 1 else None
    if isinstance(part, dict):
        kind = part["type"]
        if kind == "output_text" and not part.get("annotations"):
            return part["text"]
        if kind == "input_text" and len(part) == 2:
            return part["text"]
    return [_without_logprobs(part) for part in parts]


def _without_logprobs(part: JSON) -> JSON:
    if not isinstance(part, dict) or "logprobs" not in part:
        return part
    return {name: value for name, value in part.items() if name != "logprobs"}
