"""A request and the history that it goes on from, as one conversation. Pure."""

from collections.abc import Sequence

from msgspec import Struct

from actors.events import Warning
from web.errors import ApiError, invalid
from web.responses.chain import Chain
from web.responses.items import Item, wrong
from web.responses.request import Past, ResponsesAsk
from web.responses.units import Mismatch, Unit, Units

_CALLS = "function_call_mismatch"
_REFERENCE = "item_reference"


class Conversation(Struct, frozen=True, kw_only=True):
    """What a model is to be shown."""

    instructions: str | None
    units: list[Unit]
    warnings: tuple[Warning, ...]
    """What was left out, since nobody could be shown it."""


def conversation_of(ask: ResponsesAsk, chain: Chain) -> Conversation:
    """The conversation that a request continues; raises `ApiError` (400)."""
    _check_references(ask.input, chain)
    # What was deleted or not read may have been calls of some results, or results of some calls.
    forgiving = chain.cut or chain.gaps > 0
    history = _answerable(chain.items, ask.input, forgiving=forgiving)
    units = Units()
    try:
        units.add(history, forgiving=forgiving)
        units.add(ask.input)
        said = units.finish()
    except Mismatch as mismatch:
        raise _mismatch(mismatch, ask.past, len(history)) from None
    if not said:
        raise wrong("input", "there is nothing to answer.", "missing_required_parameter")
    return Conversation(
        instructions=chain.instructions if ask.instructions is None else ask.instructions,
        units=said,
        warnings=_warnings(units, chain, len(chain.items) - len(history)),
    )


def _check_references(items: Sequence[Item], chain: Chain) -> None:
    """An item that is referred to is one of the history, so that there is nothing to add."""
    references = [(index, item) for index, item in enumerate(items) if item["type"] == _REFERENCE]
    ids = {item.get("id") for item in chain.items} if references else ()
    for index, item in references:
        if item["id"] not in ids:
            text = f"there is no item {str(item['id'])[:100]!r} in what the request goes on from."
            raise wrong(f"input[{index}].id", text, "item_not_found")


def _answerable(items: Sequence[Item], asked: Sequence[Item], *, forgiving: bool) -> Sequence[Item]:
    """The history without calls that broke off, unless somebody has run them all the same.

    With `forgiving` without any call of which there is no result.
    """
    dropped = _is_call if forgiving else _broke_off
    if not any(map(dropped, items)):
        return items
    answered = {
        item["call_id"] for item in (*items, *asked) if item["type"] == "function_call_output"
    }
    return [item for item in items if not dropped(item) or item["call_id"] in answered]


def _is_call(item: Item) -> bool:
    return item["type"] == "function_call"


def _broke_off(item: Item) -> bool:
    """Whether this is a call whose arguments broke off, so that hardly anybody can have run it."""
    return _is_call(item) and item["status"] == "incomplete"


def _mismatch(mismatch: Mismatch, past: Past, history: int) -> ApiError:
    if mismatch.place >= history:
        path = f"input[{mismatch.place - history}]"
        return wrong(path, mismatch.words, _CALLS)
    where = "conversation_history" if past.items is not None else "input"
    return invalid(f"{where}: {mismatch.words}", param=where, code=_CALLS)


def _warnings(units: Units, chain: Chain, broken: int) -> tuple[Warning, ...]:
    told = (
        (units.sealed, "reasoning_ignored", "reasoning items without text or without an answer"),
        (broken, "calls_ignored", "function calls that broke off, or whose outputs are gone"),
        (units.orphans, "outputs_ignored", "outputs of function calls that are not there any more"),
        (chain.gaps, "responses_deleted", "responses that were deleted"),
        (int(chain.cut), "history_cut", "beginning of a history that is too long to be read"),
    )
    return tuple(
        Warning(code, f"Left out of the history: {count} {what}.")
        for count, code, what in told
        if count
    )
