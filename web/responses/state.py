"""Where a request's history is: read from the store in a number of queries that never grows."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import trio
from msgspec import Struct

from actors.heavy import off_loop
from store.records import ChainLink
from web.conversations import conversation_busy
from web.dialects.responses_items import turn_id_of
from web.responses.chain import (
    MOST_LINKS,
    Chain,
    chain_before,
    chain_in_conversation,
    in_progress,
    previous_not_found,
)
from web.responses.deletion import not_in_database
from web.responses.request import Past
from web.service import TENANT, Service

LARGE = 65_536
"""Characters of items as JSON that are read in 5 ms, however many items and parts they are."""

Unstored = Mapping[str, ChainLink]
"""Responses that only who asks has kept, with the ids of their turns."""
NONE_UNSTORED: Unstored = MappingProxyType({})


class Recalled(Struct, frozen=True):
    """A history, and the turn that the next one goes on from; None where it begins something."""

    chain: Chain
    turn_id: str | None
    size: int = 0
    """Characters of what was read of it, as JSON."""


async def recall(
    service: Service,
    past: Past,
    threads: trio.CapacityLimiter,
    unstored: Unstored = NONE_UNSTORED,
) -> Recalled:
    """What a request goes on from; raises `ApiError` (404, 409, 503).

    History that the client brings takes the place of what is stored, for later turns too. What
    the request names must be there all the same: its instructions hold on.
    """
    recalled = await _stored(service, past, threads, unstored)
    if past.items is None:
        return recalled
    return Recalled(Chain(items=past.items, instructions=recalled.chain.instructions), None)


async def _stored(
    service: Service, past: Past, threads: trio.CapacityLimiter, unstored: Unstored
) -> Recalled:
    if past.previous is not None:
        return await _before(service, past.previous, threads, unstored)
    if past.conversation is not None:
        return await _in_conversation(service, past.conversation, threads)
    return Recalled(Chain(), None)


async def _before(
    service: Service, id: str, threads: trio.CapacityLimiter, unstored: Unstored
) -> Recalled:
    turn_id = turn_id_of(id)
    if turn_id is None:
        raise previous_not_found(id)
    if turn_id not in unstored:
        _check_over(service, id, turn_id)
    stored = await _links(service, turn_id)
    links = [_known(link, unstored) for link in stored]
    size = _size(links)
    chain = await off_loop(size > LARGE, threads, lambda: chain_before(links, id))
    return Recalled(chain, turn_id, size)


def _size(links: Sequence[ChainLink]) -> int:
    return sum(len(link.input_items) + len(link.answer_items) for link in links)


async def _links(service: Service, turn_id: str) -> list[ChainLink]:
    """The chain, of no more than a client could have sent at once."""
    most_bytes = service.config.limits.body_bytes
    return await service.store.chain(TENANT, turn_id, MOST_LINKS, most_bytes)


def _known(link: ChainLink, unstored: Unstored) -> ChainLink:
    return unstored.get(link.turn_id, link) if link.lost == "not_kept" else link


def _check_over(service: Service, id: str, turn_id: str) -> None:
    live = service.registry.find(TENANT, turn_id)
    if live is None:
        return
    if not live.final.is_set():
        raise previous_not_found(id) if live.request.input_items is None else in_progress(id)
    if live.stored != "committed":
        raise not_in_database(f"Response {id!r}")


def _check_settled(service: Service, conversation: str) -> None:
    """What the database takes for a turn that plays may be over, and only its end not there yet."""
    for turn in service.registry.unsettled():
        its = (turn.request.tenant_id, turn.request.conversation)
        if its == (TENANT, conversation) and turn.deleted_at is None:
            raise not_in_database(f"A response of the conversation {conversation[:100]!r}")


async def _in_conversation(service: Service, name: str, threads: trio.CapacityLimiter) -> Recalled:
    store = service.store
    _check_settled(service, name)
    if await store.conversation_live(TENANT, name):
        raise conversation_busy(name)
    turn_id = await store.latest_in(TENANT, name)
    if turn_id is None:
        return Recalled(Chain(), None)
    links = await _links(service, turn_id)
    size = _size(links)
    chain = await off_loop(size > LARGE, threads, lambda: chain_in_conversation(links))
    return Recalled(chain, turn_id, size)
