"""Loads the history before a request, in a constant number of queries."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import partial
from operator import itemgetter
from types import MappingProxyType

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.answer.codec import decode_items
from actors.runtime.offload import Cost, is_much, off_loop
from actors.turn.outcome import TERMINAL
from store.records.turn_records import ChainLink, ConversationItem, Principal
from web.dialects.openai_responses.items import output_items, response_id, turn_id_of
from web.http.api_error import ApiError, invalid, not_found, store_unavailable
from web.service import Service
from web.surfaces.responses.input.items import Item
from web.surfaces.responses.input_items import input_with_ids
from web.surfaces.responses.request import HistorySource
from web.turns.conversation_lock import conversation_busy

Unstored = Mapping[str, ChainLink]
"""Unstored responses cached by the client's socket, by turn id."""

MAX_LINKS = 2_000
"""Maximum number of responses read from one chain; a request has at most 10,000 items."""


class Echo(Struct, frozen=True, omit_defaults=True):
    """Echoed request fields that later responses inherit."""

    instructions: str | None = None


class Options(Struct, frozen=True, omit_defaults=True):
    """The part of the dialect options that later responses inherit."""

    echo: Echo = Echo()


_CREATED = re.compile(r"conv_[0-9a-z]{26}")
"""The form of the ids of created conversations; any other name begins a conversation."""
_decode_item = msgspec.json.Decoder(Item).decode
_read_options = msgspec.json.Decoder(Options).decode


class Chain(Struct, frozen=True, kw_only=True):
    """The history before a request."""

    items: list[Item] = []
    """Items, oldest first."""
    instructions: str | None = None
    """Instructions of the last response, which the request inherits."""
    cut: bool = False
    """True if older responses exist that were not read."""
    gaps: int = 0
    """Number of deleted responses in it."""


class Caller(Struct, frozen=True):
    """The caller of a request, with the sources of its histories."""

    service: Service
    principal: Principal
    unstored: Unstored = MappingProxyType({})
    evicted: Set[str] = frozenset()
    """Those of them that a failed request named, so that no further request may continue them."""


class LoadedHistory(Struct, frozen=True):
    """A history as loaded for a request."""

    chain: Chain
    turn_id: str | None = None
    """The previous turn, or None if the request begins a new chain or conversation."""
    size: int = 0
    """Characters of the stored JSON from which it was read."""


async def load_history(caller: Caller, past: HistorySource) -> LoadedHistory:
    """Load the history of a request; raises `ApiError` (404, 409, 503).

    `conversation_history` replaces the stored items, for later turns too. A response or
    conversation named next to it must exist nevertheless, since its instructions are inherited.
    """
    history = LoadedHistory(Chain())
    if past.previous is not None:
        history = await _before(caller, past.previous)
    elif past.conversation is not None:
        history = await _in_conversation(caller, past.conversation)
    if past.items is None:
        return history
    return LoadedHistory(Chain(items=past.items, instructions=history.chain.instructions))


async def _before(caller: Caller, id: str) -> LoadedHistory:
    turn_id = turn_id_of(id)
    if turn_id is None:
        raise _previous_not_found(id)
    if turn_id in caller.evicted:
        raise _previous_not_found(id)
    if turn_id not in caller.unstored:
        _check_over(caller, id, turn_id)
    return await _load(caller, turn_id, partial(_chain_before, id), caller.unstored)


async def _in_conversation(caller: Caller, name: str) -> LoadedHistory:
    turns, principal = caller.service.store.turns, caller.principal
    _check_settled(caller, name)
    if (
        _CREATED.fullmatch(name)
        and await caller.service.store.conversations.get(principal, name) is None
    ):
        raise conversation_not_found(name)
    if await turns.conversation_live(principal, name):
        raise conversation_busy(name)
    return await load_conversation(caller, name)


async def load_conversation(caller: Caller, name: str) -> LoadedHistory:
    """Load the ended turns of a conversation and the items that clients added to it."""
    store, principal = caller.service.store, caller.principal
    added = await store.conversations.items(principal, name)
    turn_id = await store.turns.latest_turn_in(principal, name)
    chain_of = partial(_chain_in_conversation, added)
    history = LoadedHistory(chain_of(()))
    if turn_id is not None:
        history = await _load(caller, turn_id, chain_of, {})
    size = history.size + sum(len(one.item or "") for one in added)
    return LoadedHistory(history.chain, turn_id, size)


async def _load(
    caller: Caller,
    turn_id: str,
    chain_of: Callable[[Sequence[ChainLink]], Chain],
    unstored: Unstored,
) -> LoadedHistory:
    """Load the chain that ends with the turn, limited to the size of a request body."""
    service = caller.service
    max_bytes = service.config.limits.body_bytes
    stored = await service.store.turns.chain(caller.principal, turn_id, MAX_LINKS, max_bytes)
    links = [unstored.get(x.turn_id, x) if x.lost == "not_kept" else x for x in stored]
    size = sum(len(link.input_items) + len(link.answer_items) for link in links)
    large = is_much(size, Cost.ITEM_TEXT)
    chain = await off_loop(large, service.readers, partial(chain_of, links))
    return LoadedHistory(chain, turn_id, size)


def _check_over(caller: Caller, id: str, turn_id: str) -> None:
    live = caller.service.registry.find(caller.principal, turn_id)
    if live is None:
        return
    if not live.final.is_set():
        raise _previous_not_found(id) if live.request.input_items is None else _in_progress(id)
    if live.stored != "committed":
        raise store_unavailable(f"Response {id!r} is not in the database yet.")


def _check_settled(caller: Caller, conversation: str) -> None:
    """Raise `ApiError` (503) if an ended turn of the conversation is not in the database yet.

    The database still has such a turn as running.
    """
    wanted = (caller.principal.tenant_id, conversation)
    for turn in caller.service.registry.unsettled():
        its = (turn.request.principal.tenant_id, turn.request.conversation)
        if its == wanted and turn.deleted_at is None:
            text = f"A response of the conversation {conversation[:100]!r}"
            raise store_unavailable(f"{text} is not in the database yet.")


def _chain_before(previous_id: str, links: Sequence[ChainLink]) -> Chain:
    """Return the history that ends with the response `previous_id`.

    Raises `ApiError`: 404 if one of the responses does not exist or is not stored, 409 if the last
    one is still in progress.
    """
    for link in links:
        if link.lost is not None:
            raise _lost(link, previous_id)
    if not links:
        raise _previous_not_found(previous_id)
    return _chain(links)


def _chain_in_conversation(added: Sequence[ConversationItem], links: Sequence[ChainLink]) -> Chain:
    """Return the history of a conversation without its deleted responses and items."""
    kept = [link for link in links if link.lost is None]
    chain = _chain(kept) if kept else Chain()
    if added:
        # The ids of turns sort by time, and so do the positions of items.
        parts = [(link.turn_id.removeprefix("turn_"), list(_items(link))) for link in kept]
        parts += [(one.position, [_decode_item(one.item)]) for one in added if one.item is not None]
        parts.sort(key=itemgetter(0))
        deleted = {one.item_id for one in added if one.item is None}
        items = [item for _, part in parts for item in part if item["id"] not in deleted]
        chain = replace(chain, items=items)
    return replace(chain, gaps=len(links) - len(kept))


def conversation_not_found(id: str) -> ApiError:
    """Return a 404 for a conversation that does not exist."""
    text = f"There is no conversation {id[:100]!r}. It may have been deleted."
    return not_found(text, code="conversation_not_found", param="conversation")


def _previous_not_found(id: str) -> ApiError:
    """Return a 404 for a response that cannot be continued."""
    text = f"Response {id[:100]!r} does not exist, or is not stored and cannot be continued."
    return not_found(text, code="previous_response_not_found", param="previous_response_id")


def _in_progress(id: str) -> ApiError:
    """Return a 409 for a previous response that has not ended."""
    text = f"Response {id!r} is still in progress. Wait until it ends, or cancel it."
    code = "previous_response_in_progress"
    return invalid(text, param="previous_response_id", code=code, status=409)


def _lost(link: ChainLink, previous_id: str) -> ApiError:
    id = response_id(link.turn_id)
    if id == previous_id:
        return _previous_not_found(id)
    text = f"Response {previous_id!r} continues {id!r}, which was deleted or is not stored."
    return not_found(text, code="previous_response_not_found", param="previous_response_id")


def _chain(links: Sequence[ChainLink]) -> Chain:
    last = links[-1]
    if last.status not in TERMINAL:
        raise _in_progress(response_id(last.turn_id))
    return Chain(
        items=[item for link in links for item in _items(link)],
        instructions=instructions_of(last.dialect_options),
        cut=links[0].previous_id is not None,
    )


def instructions_of(dialect_options: str) -> str | None:
    """Return the instructions of a response, its own or inherited."""
    return _read_options(dialect_options).echo.instructions


def _items(link: ChainLink) -> Iterator[Item]:
    """Yield the input items and the output items of a response."""
    yield from input_with_ids(link.turn_id, link.input_items)
    yield from output_items(link.turn_id, decode_items(link.answer_items))
