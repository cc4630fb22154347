"""Loads a request's history in a constant number of queries."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from actors.runtime.offload import Cost, is_much, off_loop
from store.records.turn_records import ChainLink, Principal
from web.dialects.openai_responses.items import turn_id_of
from web.service import Service
from web.surfaces.responses.deletion import not_in_database
from web.surfaces.responses.history.history import (
    MAX_LINKS,
    Chain,
    chain_before,
    chain_in_conversation,
    in_progress,
    previous_not_found,
)
from web.surfaces.responses.request import HistorySource
from web.turns.conversation_lock import conversation_busy

Unstored = Mapping[str, ChainLink]
"""Unstored responses cached by the client's socket, by turn id."""
NONE_UNSTORED: Unstored = MappingProxyType({})


class LoadedHistory(Struct, frozen=True):
    """A history as loaded for a request."""

    chain: Chain
    turn_id: str | None
    """The previous turn, or None if the request begins a new chain or conversation."""
    size: int = 0
    """Characters of the stored JSON from which it was read."""


async def load_history(
    service: Service,
    principal: Principal,
    past: HistorySource,
    unstored: Unstored = NONE_UNSTORED,
) -> LoadedHistory:
    """Load the history of a request; raises `ApiError` (404, 409, 503).

    `conversation_history` replaces the stored items, for later turns too. A response or
    conversation named next to it must exist nevertheless, since its instructions are inherited.
    """
    history = await _stored(service, principal, past, unstored)
    if past.items is None:
        return history
    return LoadedHistory(Chain(items=past.items, instructions=history.chain.instructions), None)


async def _stored(
    service: Service,
    principal: Principal,
    past: HistorySource,
    unstored: Unstored,
) -> LoadedHistory:
    if past.previous is not None:
        return await _before(service, principal, past.previous, unstored)
    if past.conversation is not None:
        return await _in_conversation(service, principal, past.conversation)
    return LoadedHistory(Chain(), None)


async def _before(
    service: Service,
    principal: Principal,
    id: str,
    unstored: Unstored,
) -> LoadedHistory:
    turn_id = turn_id_of(id)
    if turn_id is None:
        raise previous_not_found(id)
    if turn_id not in unstored:
        _check_over(service, principal, id, turn_id)
    stored = await _links(service, principal, turn_id)
    links = [_known(link, unstored) for link in stored]
    size = _size(links)
    large = is_much(size, Cost.ITEM_TEXT)
    chain = await off_loop(large, service.readers, lambda: chain_before(links, id))
    return LoadedHistory(chain, turn_id, size)


def _size(links: Sequence[ChainLink]) -> int:
    return sum(len(link.input_items) + len(link.answer_items) for link in links)


async def _links(service: Service, principal: Principal, turn_id: str) -> list[ChainLink]:
    """Return the chain, limited to the size of a request body."""
    max_bytes = service.config.limits.body_bytes
    return await service.store.turns.chain(principal, turn_id, MAX_LINKS, max_bytes)


def _known(link: ChainLink, unstored: Unstored) -> ChainLink:
    return unstored.get(link.turn_id, link) if link.lost == "not_kept" else link


def _check_over(service: Service, principal: Principal, id: str, turn_id: str) -> None:
    live = service.registry.find(principal, turn_id)
    if live is None:
        return
    if not live.final.is_set():
        raise previous_not_found(id) if live.request.input_items is None else in_progress(id)
    if live.stored != "committed":
        raise not_in_database(f"Response {id!r}")


def _check_settled(service: Service, principal: Principal, conversation: str) -> None:
    """Raise `ApiError` (503) if an ended turn of the conversation is not in the database yet.

    The database still has such a turn as running.
    """
    for turn in service.registry.unsettled():
        its = (turn.request.principal.tenant_id, turn.request.conversation)
        if its == (principal.tenant_id, conversation) and turn.deleted_at is None:
            raise not_in_database(f"A response of the conversation {conversation[:100]!r}")


async def _in_conversation(service: Service, principal: Principal, name: str) -> LoadedHistory:
    turns = service.store.turns
    _check_settled(service, principal, name)
    if await turns.conversation_live(principal, name):
        raise conversation_busy(name)
    turn_id = await turns.latest_turn_in(principal, name)
    if turn_id is None:
        return LoadedHistory(Chain(), None)
    links = await _links(service, principal, turn_id)
    size = _size(links)
    large = is_much(size, Cost.ITEM_TEXT)
    chain = await off_loop(large, service.readers, lambda: chain_in_conversation(links))
    return LoadedHistory(chain, turn_id, size)
