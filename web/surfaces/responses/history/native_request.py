"""Writes a conversation as the request of a route that speaks Responses. Pure.

Items and tools stay as the client sent them. What this server made is removed: ids that no provider
knows, sealed summaries, and the state of reasoning that belongs to other APIs.
"""

from collections.abc import Iterator, Sequence, Set

from actors.providers.formats.media import kind_of, words_for
from actors.providers.formats.openai_responses.frames import API
from actors.turn.messages import Message, unsealed
from actors.turn.model_call import JSON, NativeRequest
from web.dialects.openai_responses.items import is_ours
from web.surfaces.responses.history.conversation import Conversation
from web.surfaces.responses.history.message_content import parts_in
from web.surfaces.responses.history.message_groups import CALLS, OUTPUTS, WITH_PARTS, MessageGroup
from web.surfaces.responses.input.compaction_summary import summary_message
from web.surfaces.responses.input.items import Item, text_part
from web.surfaces.responses.request import ResponsesRequest

_KNOWN = CALLS | OUTPUTS | {"reasoning"}
"""Types of items whose ids and statuses say nothing to a provider."""
_OF_MESSAGES = frozenset({"id", "type", "status", "role", "content"})
_WITHOUT_CHAT_TOOLS = dict.fromkeys(("tools", "tool_choice", "parallel_tool_calls"))
"""Parameters that the call has in another form, and which these routes don't get."""
_EXPRESSED = frozenset({"tools", "tool_choice", "service_tier"})
"""Parameters that other routes get in another form."""
_SEALED = "reasoning.encrypted_content"
"""Value of `include` that needs no warning: answers of all routes have the state of reasoning."""


def native_request(
    request: ResponsesRequest,
    conversation: Conversation,
    messages: tuple[Message, ...],
    kept: Sequence[MessageGroup],
    lost: Set[str] = frozenset(),
) -> NativeRequest:
    """Return the native request of `messages`, for which these groups were kept.

    Media of the kinds in `lost` are replaced by a text.
    """
    removed = {place for group in conversation.groups for place in group.places}
    removed -= {place for group in kept for place in group.places}
    removed |= conversation.orphans
    sent = [
        (path, _sent(_without_media(item, lost) if lost and item["type"] in WITH_PARTS else item))
        for place, (path, item) in enumerate(
            zip(conversation.paths, conversation.items, strict=True)
        )
        if place not in removed
    ]
    parameters = _WITHOUT_CHAT_TOOLS | request.native
    if conversation.instructions:
        parameters["instructions"] = conversation.instructions
    if conversation.has_tools:
        parameters["parallel_tool_calls"] = request.parallel
    elif parameters.get("tool_choice") in ("auto", "none"):
        del parameters["tool_choice"]  # some servers refuse it without tools (qwen-code#2054)
    return NativeRequest(
        api=API,
        messages=messages,
        items=tuple(item for _, item in sent if item is not None),
        parameters=parameters,
        unexpressed=(*conversation.unexpressed, *_unexpressed(request.native)),
        left_out=tuple(path for path, item in sent if item is None),
    )


def _unexpressed(parameters: dict[str, JSON]) -> Iterator[str]:
    for name, value in parameters.items():
        match value:
            case _ if name in _EXPRESSED:
                pass
            case dict():
                yield from (f"{name}.{inner}" for inner in value)
            case list():
                others = (pair for pair in enumerate(value) if pair[1] != _SEALED)
                yield from (f"{name}[{index}] ({one!s:.100})" for index, one in others)
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
    if kind == "reasoning" and not _is_own_reasoning(item):
        return None
    ours = kind in _KNOWN or is_ours(str(item.get("id")))
    removed = ("id", "status") if kind in _KNOWN else ("id",)
    return {name: item[name] for name in item if name not in removed} if ours else item


def _is_own_reasoning(item: Item) -> bool:
    """Return True if a provider of this API can read the item: it encrypted the reasoning."""
    opaque = item.get("encrypted_content")
    return isinstance(opaque, str) and opaque != "" and unsealed(opaque) is None


def _without_media(item: Item, kinds: Set[str]) -> Item:
    """Return the item with a text in place of each medium of these kinds."""
    replaced: Item = {}
    for name in ("content", "output"):
        if isinstance(given := item.get(name), list):
            pairs = zip(given, parts_in(given), strict=True)
            replaced[name] = [
                text_part("user", words_for(part)) if kind_of(part) in kinds else one
                for one, part in pairs
            ]
    return item | replaced


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
