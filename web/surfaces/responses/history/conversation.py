"""Joins a request and its history into one conversation. Pure."""

from collections.abc import Sequence

from msgspec import Struct

from actors.providers.formats.media import kind_of
from actors.turn.events import Warning
from web.http.api_error import ApiError, invalid
from web.surfaces.responses.history.history import Chain
from web.surfaces.responses.history.message_groups import (
    MessageGroup,
    MessageGroups,
    Mismatch,
    parts_in,
)
from web.surfaces.responses.input.items import Item
from web.surfaces.responses.request import HistorySource, ResponsesRequest
from web.surfaces.validation import wrong
from web.turns.media_needs import MediaNeeds

_CALLS = "function_call_mismatch"
_REFERENCE = "item_reference"


class Conversation(Struct, frozen=True, kw_only=True):
    """The conversation that is sent to the model."""

    instructions: str | None
    """Instructions of the request, or those inherited from the history."""
    groups: list[MessageGroup]
    warnings: tuple[Warning, ...]
    """Warnings about parts of the history that cannot be sent."""
    media: MediaNeeds


def conversation_of(request: ResponsesRequest, chain: Chain) -> Conversation:
    """Return the conversation of a request and its history; raises `ApiError` (400)."""
    _check_references(request.input, chain)
    # A response that was deleted or cut off may contain the call of an output, or vice versa.
    forgiving = chain.cut or chain.gaps > 0
    history = _without_unanswered(chain.items, request.input, forgiving=forgiving)
    groups = MessageGroups()
    try:
        groups.add(history, forgiving=forgiving)
        groups.add(request.input)
        finished = groups.finish()
    except Mismatch as mismatch:
        raise _mismatch(mismatch, request.past, len(history)) from None
    if not finished:
        raise wrong("input", "must have at least one message.", "missing_required_parameter")
    return Conversation(
        instructions=chain.instructions if request.instructions is None else request.instructions,
        groups=finished,
        warnings=_warnings(groups, chain, len(chain.items) - len(history)),
        media=MediaNeeds(_newest_media(request.input), frozenset(groups.media)),
    )


def _newest_media(items: Sequence[Item]) -> dict[str, str]:
    """Return the kinds of media in the last item of the input, by their paths."""
    last = items[-1] if items else {}
    return {
        f"input[{len(items) - 1}].{name}[{index}]": kind
        for name in ("content", "output")
        for index, part in enumerate(parts_in(last.get(name)))
        if (kind := kind_of(part)) is not None
    }


def _check_references(items: Sequence[Item], chain: Chain) -> None:
    """Check that each referenced item is in the history, where the model sees it already."""
    references = [(index, item) for index, item in enumerate(items) if item["type"] == _REFERENCE]
    ids = {item.get("id") for item in chain.items} if references else ()
    for index, item in references:
        if item["id"] not in ids:
            text = f"there is no item {str(item['id'])[:100]!r} in the history of the request."
            raise wrong(f"input[{index}].id", text, "item_not_found")


def _without_unanswered(
    items: Sequence[Item], added: Sequence[Item], *, forgiving: bool
) -> Sequence[Item]:
    """Return the history without incomplete calls, unless they have an output.

    With `forgiving`, drop every call without an output.
    """
    dropped = _is_call if forgiving else _is_incomplete
    if not any(map(dropped, items)):
        return items
    answered = {
        item["call_id"] for item in (*items, *added) if item["type"] == "function_call_output"
    }
    return [item for item in items if not dropped(item) or item["call_id"] in answered]


def _is_call(item: Item) -> bool:
    return item["type"] == "function_call"


def _is_incomplete(item: Item) -> bool:
    """Return whether this is a call with incomplete arguments, which hardly any client can run."""
    return _is_call(item) and item["status"] == "incomplete"


def _mismatch(mismatch: Mismatch, past: HistorySource, history: int) -> ApiError:
    if mismatch.place >= history:
        path = f"input[{mismatch.place - history}]"
        return wrong(path, mismatch.words, _CALLS)
    where = "conversation_history" if past.items is not None else "input"
    return invalid(f"{where}: {mismatch.words}", param=where, code=_CALLS)


def _warnings(groups: MessageGroups, chain: Chain, broken: int) -> tuple[Warning, ...]:
    omissions = (
        (
            groups.dropped_reasoning,
            "reasoning_ignored",
            "reasoning items without text or without an answer",
        ),
        (broken, "calls_ignored", "function calls that are incomplete or without an output"),
        (groups.orphans, "outputs_ignored", "outputs whose function calls are missing"),
        (chain.gaps, "responses_deleted", "deleted responses"),
        (int(chain.cut), "history_cut", "older part beyond the maximum length of a history"),
    )
    return tuple(
        Warning(code, f"Left out of the history: {count} {what}.")
        for count, code, what in omissions
        if count
    )
