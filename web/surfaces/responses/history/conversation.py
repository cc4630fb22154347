"""Joins a request and its history into one conversation. Pure."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from actors.providers.formats.media import kind_of
from actors.turn.events import Warning
from actors.turn.model_call import JSON
from web.http.api_error import ApiError, invalid
from web.surfaces.responses.history.history import Chain
from web.surfaces.responses.history.message_content import parts_in
from web.surfaces.responses.history.message_groups import (
    CALLS,
    OUTPUTS,
    WITH_PARTS,
    MessageGroup,
    MessageGroups,
    Mismatch,
)
from web.surfaces.responses.input.items import Item
from web.surfaces.responses.input.tools import BRINGING_TOOLS, ChatTools, chat_tools
from web.surfaces.responses.request import HistorySource, ResponsesRequest
from web.surfaces.validation import wrong
from web.turns.media_needs import MediaNeeds

_MISMATCH = "function_call_mismatch"
_FIELDS = {
    "message": frozenset({"role", "content"}),
    "function_call": frozenset({"call_id", "name", "arguments", "namespace"}),
    "function_call_output": frozenset({"call_id", "output"}),
    "custom_tool_call": frozenset({"call_id", "name", "input", "namespace"}),
    "custom_tool_call_output": frozenset({"call_id", "output"}),
}
"""Fields, by type of item, that messages express; `id` and `status` say nothing to a model."""
_SILENT = frozenset({"type", "id", "status"})


class Conversation(Struct, frozen=True, kw_only=True):
    """The conversation that is sent to the model."""

    instructions: str | None
    """Instructions of the request, or those inherited from the history."""
    items: list[Item]
    """All items, oldest first."""
    paths: list[str]
    """Their paths in the request or the history."""
    groups: list[MessageGroup]
    tools: ChatTools
    unexpressed: tuple[str, ...]
    """Paths of the items and fields that the groups lack, because only this API has them."""
    orphans: frozenset[int]
    """Indexes of items that no provider gets."""
    warnings: tuple[Warning, ...]
    """Warnings about parts of the history that cannot be sent."""
    has_tools: bool
    """True if the request or an item brings tools of any type."""
    media: MediaNeeds


def conversation_of(request: ResponsesRequest, chain: Chain) -> Conversation:
    """Return the conversation of a request and its history; raises `ApiError` (400)."""
    # A response that was deleted or cut off may contain the call of an output, or vice versa.
    forgiving = chain.cut or chain.gaps > 0
    history = _without_unanswered(chain.items, request.input, forgiving=forgiving)
    items = [*history, *request.input]
    paths = [*_paths(len(history), len(request.input))]
    tools = chat_tools(request.tools, zip(paths, items, strict=True))
    groups = MessageGroups(tools.names)
    try:
        groups.add(history, forgiving=forgiving)
        groups.add(request.input)
        finished = groups.finish()
    except Mismatch as mismatch:
        raise _mismatch(mismatch, request.past, len(history)) from None
    if request.generate and not any(group.messages or group.native for group in finished):
        raise wrong("input", "must have at least one message.", "missing_required_parameter")
    others = [f"{paths[place]} ({items[place]['type']})" for place in groups.native]
    pairs = zip(paths, items, strict=True)
    extra = [f"{path}.{name}" for path, item in pairs for name in _extra(item)]
    return Conversation(
        instructions=chain.instructions if request.instructions is None else request.instructions,
        items=items,
        paths=paths,
        groups=finished,
        tools=tools,
        unexpressed=(*tools.unexpressed, *others, *extra),
        orphans=frozenset(groups.orphans),
        warnings=_warnings(groups, chain, len(chain.items) - len(history)),
        has_tools=bool(request.tools.given) or any(i["type"] in BRINGING_TOOLS for i in items),
        media=MediaNeeds(_newest_media(request.input), frozenset(groups.media)),
    )


def _newest_media(items: Sequence[Item]) -> dict[str, str]:
    """Return the kinds of media in the last item of the input, by their paths."""
    last = items[-1] if items and items[-1]["type"] in WITH_PARTS else {}
    return {
        f"input[{len(items) - 1}].{name}[{index}]": kind
        for name in ("content", "output")
        for index, part in enumerate(parts_in(last.get(name)))
        if (kind := kind_of(part)) is not None
    }


def chat_parameters(request: ResponsesRequest, conversation: Conversation) -> dict[str, JSON]:
    """Return the parameters of the model call, in the form of Chat Completions."""
    parameters = request.parameters | conversation.tools.parameters
    if request.parallel is not None and "tools" in parameters:
        parameters["parallel_tool_calls"] = request.parallel
    return parameters


def _paths(history: int, input: int) -> Iterator[str]:
    yield from (f"history[{place}]" for place in range(history))
    yield from (f"input[{place}]" for place in range(input))


def _extra(item: Item) -> Iterator[str]:
    known = _FIELDS.get(str(item["type"]))
    if known is not None and not item.keys() <= known | _SILENT:
        yield from (name for name in item if name not in known | _SILENT)


def _without_unanswered(
    items: Sequence[Item], added: Sequence[Item], *, forgiving: bool
) -> Sequence[Item]:
    """Return the history without incomplete calls, unless they have an output.

    With `forgiving`, drop every call without an output.
    """
    dropped = _is_call if forgiving else _is_incomplete
    if not any(map(dropped, items)):
        return items
    answered = {item["call_id"] for item in (*items, *added) if item["type"] in OUTPUTS}
    return [item for item in items if not dropped(item) or item["call_id"] in answered]


def _is_call(item: Item) -> bool:
    return item["type"] in CALLS


def _is_incomplete(item: Item) -> bool:
    """Return whether this is a call with incomplete arguments, which hardly any client can run."""
    return _is_call(item) and item["status"] == "incomplete"


def _mismatch(mismatch: Mismatch, past: HistorySource, history: int) -> ApiError:
    if mismatch.place >= history:
        path = f"input[{mismatch.place - history}]"
        return wrong(path, mismatch.words, _MISMATCH)
    where = "conversation_history" if past.items is not None else "input"
    return invalid(f"{where}: {mismatch.words}", param=where, code=_MISMATCH)


def _warnings(groups: MessageGroups, chain: Chain, broken: int) -> tuple[Warning, ...]:
    omissions = (
        (
            groups.dropped_reasoning,
            "reasoning_ignored",
            "reasoning items without text or without an answer",
        ),
        (broken, "calls_ignored", "calls that are incomplete or without an output"),
        (len(groups.orphans), "outputs_ignored", "outputs whose calls are missing"),
        (chain.gaps, "responses_deleted", "deleted responses"),
        (int(chain.cut), "history_cut", "older part beyond the maximum length of a history"),
    )
    return tuple(
        Warning(code, f"Left out of the history: {count} {what}.")
        for count, code, what in omissions
        if count
    )
