"""Finds the items that a request refers to by id, in a constant number of queries.

The ids that this server makes name a turn and a place in it. Other ids, those that clients and
providers gave, are in a table of the store.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from actors.answer.codec import decode_items
from actors.answer.items import item_of
from actors.runtime.offload import Cost, is_much, off_loop
from actors.turn.state import Turn
from store.records.turn_records import Role, TurnItems
from web.dialects.openai_responses.items import output_items, place_of
from web.http.api_error import invalid, not_found, store_unavailable
from web.surfaces.responses.history.history import Caller, Chain
from web.surfaces.responses.input.items import REFERENCE, Item
from web.surfaces.responses.input_items import input_with_ids
from web.surfaces.responses.request import ResponsesRequest, stored_input

_decode = msgspec.json.Decoder(Item).decode

Found = dict[str, Item]
"""Items by id."""


async def with_referenced_items(
    caller: Caller, request: ResponsesRequest, chain: Chain
) -> ResponsesRequest:
    """Return the request with the items that it refers to; raises `ApiError` (404, 409, 413).

    Items of the history are left as references, since the model sees them already.
    """
    known = {item.get("id") for item in chain.items}
    wanted = {
        str(item["id"]): f"input[{index}].id"
        for index, item in enumerate(request.input)
        if item["type"] == REFERENCE and item["id"] not in known
    }
    if not wanted:
        return request
    found = await _find(caller, list(wanted))
    for id, path in wanted.items():
        _check(found.get(id), id, path)
    # In a thread, since the items may be large.
    return await off_loop(True, caller.service.readers, lambda: _resolved(request, found))


def _resolved(request: ResponsesRequest, found: Found) -> ResponsesRequest:
    input = [
        found.get(str(item["id"]), item) if item["type"] == REFERENCE else item
        for item in request.input
    ]
    return replace(request, input=input, stored_input=stored_input(request.past, input))


def _check(item: Item | None, id: str, path: str) -> None:
    if item is None:
        text = f"{path}: there is no stored item {id[:100]!r}. It may have been deleted."
        raise not_found(text, code="item_not_found", param=path)
    if item.get("status") == "in_progress":
        text = f"{path}: item {id[:100]!r} is still in progress. Wait until its response ends."
        raise invalid(text, param=path, code="item_in_progress", status=409)


async def _find(caller: Caller, ids: Sequence[str]) -> Found:
    """Return the items with these ids, without those that were deleted."""
    store, principal = caller.service.store, caller.principal
    added = await store.conversations.find_items(principal, ids)
    found = {one.item_id: _decode(one.item) for one in added if one.item is not None}
    settled = {one.item_id for one in added}
    places = {id: place for id in ids if id not in settled and (place := place_of(id)) is not None}
    found |= await _at(caller, places)
    if left := [id for id in ids if id not in found and id not in settled]:
        given = await store.turns.item_places(principal, left)
        found |= await _at(caller, {one.item_id: (one.turn_id, one.role) for one in given})
        found |= _among(left, _of_live_turns(caller))
    return found


async def _at(caller: Caller, places: Mapping[str, tuple[str, Role]]) -> Found:
    """Return the items at these places, from memory or the store."""
    found: Found = {}
    for turn_id in {turn_id for turn_id, _ in places.values()}:
        if (link := caller.unstored.get(turn_id)) is not None:
            inputs = TurnItems(turn_id, "input", link.input_items)
            answer = TurnItems(turn_id, "assistant", link.answer_items)
            found |= _among(places, [*_items(inputs), *_items(answer)])
        elif (live := caller.service.registry.find(caller.principal, turn_id)) is not None:
            found |= _among(places, _live_items(live))
    wanted = {place for id, place in places.items() if id not in found}
    return found | await _from_store(caller, places, sorted(wanted))


async def _from_store(
    caller: Caller, ids: Iterable[str], wanted: Sequence[tuple[str, Role]]
) -> Found:
    service = caller.service
    max_bytes = service.config.limits.body_bytes
    stored = await service.store.turns.turn_items(caller.principal, wanted, max_bytes)
    size = sum(len(one.items) for one in stored)
    if size > max_bytes:
        text = "The items that the request refers to are longer than a request may be."
        raise invalid(f"{text} Send a shorter list.", param="input", status=413)
    large = is_much(size, Cost.ITEM_TEXT)
    every = (item for one in stored for item in _items(one))
    return await off_loop(large, service.readers, lambda: _among(ids, every))


def _of_live_turns(caller: Caller) -> Iterator[Item]:
    tenant = caller.principal.tenant_id
    for turn in caller.service.registry:
        if turn.request.principal.tenant_id == tenant:
            yield from _live_items(turn)


def _live_items(turn: Turn) -> Iterator[Item]:
    """Yield the items of a turn of this process, if they are stored.

    Raises `ApiError` (503) if it has ended and only its spooled record has them.
    """
    if not turn.keeps_content:
        return
    if turn.stored not in (None, "committed"):
        raise store_unavailable(f"Turn {turn.id} is not in the database yet.")
    if turn.request.input_items is not None:
        yield from input_with_ids(turn.id, turn.request.input_items)
        yield from output_items(turn.id, [item_of(item) for item in turn.answer.items])


def _items(stored: TurnItems) -> Iterator[Item]:
    if stored.role == "input":
        return input_with_ids(stored.turn_id, stored.items)
    return iter(output_items(stored.turn_id, decode_items(stored.items)))


def _among(ids: Iterable[str], items: Iterable[Item]) -> Found:
    wanted = set(ids)
    return {id: item for item in items if isinstance(id := item["id"], str) and id in wanted}
