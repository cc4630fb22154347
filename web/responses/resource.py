"""What can be done with a response that there is, whether its turn plays or is over."""

from collections.abc import Callable
from functools import partial

import trio
from quart import Response

from actors.heavy import off_loop
from actors.long_answers import LONG_ITEMS, is_long
from actors.turn import Turn
from store.records import StoredResponse
from web.dialects.responses import NAME, Responses
from web.dialects.responses_items import turn_id_of
from web.errors import ApiError, not_found
from web.following import cursor_given, elsewhere, follow, replay
from web.json_body import AT_ONCE
from web.json_responses import json_response, made_response
from web.kept_events import kept_events
from web.playing import turn_headers
from web.responses.deletion import forget, stop
from web.responses.items import Item
from web.responses.listing import Page, named_input, page_of
from web.responses.view import distant_response, live_response, stored_response
from web.service import TENANT, Service


class ResponseResource:
    """The responses of a service. Every method raises `ApiError`: 404 where there is none."""

    def __init__(self, service: Service, threads: trio.CapacityLimiter) -> None:
        self._service = service
        self._threads = threads

    async def show(self, id: str) -> Response:
        """The response as it is now."""
        live = self._live(id)
        if live is not None:
            return await self._told_live(live)
        return await self._told(await self._stored(id))

    async def stream(self, id: str) -> Response:
        """Its events, after the one that the request names; 410 where they are not kept."""
        after = cursor_given(NAME)
        live = self._live(id)
        if live is not None:
            render = partial(Responses, live.request.dialect_options)
            return await follow(self._service, live, render, after)
        turn = (await self._ended(id)).turn
        return await replay(self._service, turn, partial(Responses, turn.dialect_options), after)

    async def cancel(self, id: str) -> Response:
        """Stop its turn, if it plays; the response in which that ended."""
        live = self._live(id, kept=False)
        if live is None:
            return await self._told(await self._ended(id))
        await stop(live)
        return await self._told_live(live)

    async def delete(self, id: str) -> Response:
        """Forget all that was said in it, and stop its turn, if it plays."""
        live = self._live(id)
        turn_id = live.id if live else (await self._ended(id)).turn.id
        await forget(self._service, turn_id, live)
        gone = {"id": id, "object": "response", "deleted": True}
        return json_response(gone, headers={"X-Turn-Id": turn_id})

    async def input_items(self, id: str, page: Page) -> Response:
        """What it was asked, page by page."""
        live = self._live(id)
        if live is not None and live.request.input_items is not None:
            items = await self._items(live.id, live.request.input_items)
        else:
            stored = await self._stored(id)
            items = await self._items(stored.turn.id, stored.input_items)
        return json_response(page_of(items, page))

    def _live(self, id: str, *, kept: bool = True) -> Turn | None:
        """The turn of a response, if it is one of this process and may be seen.

        One that is not `kept` can be cancelled all the same, by whoever knows its id.
        """
        turn_id = turn_id_of(id)
        turn = self._service.registry.find(TENANT, turn_id) if turn_id else None
        if turn is None or turn.request.dialect != NAME:
            return None
        seen = turn.keeps_said if kept else turn.deleted_at is None
        return turn if seen else None

    async def _stored(self, id: str) -> StoredResponse:
        turn_id = turn_id_of(id)
        stored = await self._service.store.response(TENANT, turn_id) if turn_id else None
        if stored is None or stored.turn.dialect != NAME:
            raise _unknown(id)
        return stored

    async def _ended(self, id: str) -> StoredResponse:
        """What is kept of a response that is over; raises `ApiError` (409) where it is not."""
        stored = await self._stored(id)
        if stored.turn.ended_at is None:
            raise elsewhere(stored.turn)
        return stored

    async def _told_live(self, turn: Turn) -> Response:
        journal = list(turn.journal.events)
        make = partial(live_response, turn, journal)
        return await self._made(make, turn_headers(turn), long=is_long(journal))

    async def _told(self, stored: StoredResponse) -> Response:
        headers = {"X-Turn-Id": stored.turn.id}
        if stored.turn.ended_at is not None:
            long = len(stored.answer_items) > LONG_ITEMS
            return await self._made(partial(stored_response, stored), headers, long=long)
        segments = await self._service.store.segments(stored.turn.id)
        events = await kept_events(segments, self._service.threads)
        make = partial(distant_response, stored, events)
        return await self._made(make, headers, long=is_long(events))

    async def _made(
        self, make: Callable[[], object], headers: dict[str, str], *, long: bool
    ) -> Response:
        threads = self._service.threads
        return await made_response(make, headers, long=long, threads=threads)

    async def _items(self, turn_id: str, input_items: str) -> list[Item]:
        large = len(input_items) > AT_ONCE
        return await off_loop(large, self._threads, lambda: list(named_input(turn_id, input_items)))


def _unknown(id: str) -> ApiError:
    return not_found(f"There is no response {id[:100]!r}.", code="response_not_found")
