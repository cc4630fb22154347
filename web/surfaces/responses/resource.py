"""Implements the response resource: retrieve, stream, cancel, delete and list input items.

The functions `live_response`, `stored_response` and `remote_response` build the object from a turn
of this process, from the store, and for a turn that runs in another process.
"""

from collections.abc import Callable, Sequence
from functools import partial

import trio
from msgspec import convert, json
from quart import Response, request

from actors.answer.codec import decode_items, is_long
from actors.runtime.offload import Cost, is_much, off_loop
from actors.turn.events import AnyEvent, Ended
from actors.turn.outcome import ErrorInfo, Reason, Usage
from actors.turn.state import Turn
from store.records.turn_records import Principal, StoredResponse
from web.dialects.openai_responses import response
from web.dialects.openai_responses.items import Fields, response_id, turn_id_of
from web.dialects.openai_responses.stream import NAME, Responses
from web.http.api_error import not_found, store_unavailable
from web.http.responses import json_response, offloaded_response
from web.service import Service
from web.surfaces.responses.input.items import Item
from web.surfaces.responses.input_items import input_with_ids, page_of, requested_page
from web.turns.resume import follow, replay, resume_cursor, turn_elsewhere
from web.turns.start import turn_headers
from web.turns.stored_events import load_stored_events

DELETE_TIMEOUT_S = 10.0
"""Time limit of a deletion in seconds, which also holds after its client has disconnected."""


class ResponseResource:
    """The responses of a service; every method raises `ApiError` (404) for an unknown id."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def _principal(self) -> Principal:
        return self._service.principal_of(request.headers)

    async def show(self, id: str) -> Response:
        """Return the response object in its current state."""
        live = self._live(id)
        if live is not None:
            return await self._live_response(live)
        return await self._stored_response(await self._stored(id))

    async def stream(self, id: str) -> Response:
        """Stream its events after the request's cursor; 410 if they are no longer stored."""
        after = resume_cursor(NAME)
        live = self._live(id)
        if live is not None:
            render = partial(Responses, live.request.dialect_options)
            return await follow(self._service, live, render, after)
        turn = (await self._ended(id)).turn
        return await replay(self._service, turn, partial(Responses, turn.dialect_options), after)

    async def cancel(self, response_id: str) -> Response:
        """Stop its turn if it is running, and return the ended response object."""
        live = self._live(response_id, kept=False)
        if live is None:
            return await self._stored_response(await self._ended(response_id))
        await _stop(live)
        return await self._live_response(live)

    async def delete(self, response_id: str) -> Response:
        """Delete its content, and stop its turn if it is running.

        Raises `ApiError` (503) if the database does not answer in time, or if the final record of
        the turn is not in the database yet.
        """
        live = self._live(response_id)
        turn_id = live.id if live else (await self._ended(response_id)).turn.id
        # Shielded: a started deletion must not depend on the client staying connected.
        with trio.move_on_after(DELETE_TIMEOUT_S, shield=True) as scope:
            await self._delete(turn_id, live)
        if scope.cancelled_caught:
            if live is not None:
                # The database may still complete the deletion, after which the turn must not run.
                live.stop(Reason.CANCEL_REQUESTED)
            raise store_unavailable()
        gone = {"id": response_id, "object": "response", "deleted": True}
        return json_response(gone, headers={"X-Turn-Id": turn_id})

    async def _delete(self, turn_id: str, live: Turn | None) -> None:
        now, turns = self._service.now(), self._service.store.turns
        deleted = await turns.delete_response(self._principal, turn_id, now)
        if live is None:
            return
        if deleted:
            live.mark_deleted(now)
        await _stop(live)
        if live.deleted_at is None:
            # The database did not have the turn before its final record was written.
            if live.stored != "committed":
                text = f"Response {response_id(turn_id)!r} is not in the database yet."
                raise store_unavailable(text)
            await turns.delete_response(self._principal, turn_id, now)
            live.mark_deleted(now)

    async def input_items(self, response_id: str) -> Response:
        """Return the requested page of its input items."""
        page = requested_page()
        live = self._live(response_id)
        if live is not None and live.request.input_items is not None:
            items = await self._items(live.id, live.request.input_items)
        else:
            stored = await self._stored(response_id)
            items = await self._items(stored.turn.id, stored.input_items)
        return json_response(page_of(items, page))

    def _live(self, id: str, *, kept: bool = True) -> Turn | None:
        """Return the response's turn if it runs in this process and is visible.

        With `kept`, only stored responses are visible. A client that knows the id of an unstored
        response can still cancel it.
        """
        turn_id = turn_id_of(id)
        turn = self._service.registry.find(self._principal, turn_id) if turn_id else None
        if turn is None or turn.request.dialect != NAME:
            return None
        seen = turn.keeps_content if kept else turn.deleted_at is None
        return turn if seen else None

    async def _stored(self, id: str) -> StoredResponse:
        turn_id = turn_id_of(id)
        stored = (
            await self._service.store.turns.response(self._principal, turn_id) if turn_id else None
        )
        if stored is None or stored.turn.dialect != NAME:
            raise not_found(f"There is no response {id[:100]!r}.", code="response_not_found")
        return stored

    async def _ended(self, id: str) -> StoredResponse:
        """Return the record of an ended response; raises `ApiError` (409) if it is running."""
        stored = await self._stored(id)
        if stored.turn.ended_at is None:
            raise turn_elsewhere(stored.turn)
        return stored

    async def _live_response(self, turn: Turn) -> Response:
        journal = list(turn.journal.events)
        make = partial(live_response, turn, journal)
        return await self._response(make, turn_headers(turn), long=is_long(journal))

    async def _stored_response(self, stored: StoredResponse) -> Response:
        headers = {"X-Turn-Id": stored.turn.id}
        if stored.turn.ended_at is not None:
            long = is_much(len(stored.answer_items), Cost.ITEM_TEXT)
            return await self._response(partial(stored_response, stored), headers, long=long)
        segments = await self._service.store.turns.segments(stored.turn.id)
        events = await load_stored_events(segments, self._service.threads)
        make = partial(remote_response, stored, events)
        return await self._response(make, headers, long=is_long(events))

    async def _response(
        self, make: Callable[[], object], headers: dict[str, str], *, long: bool
    ) -> Response:
        threads = self._service.threads
        return await offloaded_response(make, headers, long=long, threads=threads)

    async def _items(self, turn_id: str, input_items: str) -> list[Item]:
        large = is_much(len(input_items), Cost.BODY)
        return await off_loop(
            large, self._service.readers, lambda: list(input_with_ids(turn_id, input_items))
        )


def live_response(turn: Turn, journal: Sequence[AnyEvent]) -> Fields:
    """Return the response of a turn that is running or not in the database yet.

    `journal` has its events so far.
    """
    request = turn.request
    if journal:
        # A thread may build this, so the answer of a turn in progress cannot be shared with it.
        answer = turn.answer if isinstance(journal[-1], Ended) else None
        return response.response_object(journal, request.dialect_options, answer)
    empty = response.ResponseData(turn_id=turn.id, model=request.model, created_at=turn.created_at)
    return response.object_of(empty, request.dialect_options)


def stored_response(stored: StoredResponse) -> Fields:
    """Return the response of an ended turn from its record."""
    turn = stored.turn
    answer = response.ResponseData(
        turn_id=turn.id,
        model=turn.upstream_model or turn.model,
        created_at=turn.created_at,
        items=decode_items(stored.answer_items),
        reason=Reason(turn.reason) if turn.reason else None,
        usage=convert(turn.usage, Usage, from_attributes=True) if turn.usage else None,
        error=json.decode(turn.error, type=ErrorInfo) if turn.error else None,
        ended_at=turn.ended_at,
    )
    return response.object_of(answer, turn.dialect_options)


def remote_response(stored: StoredResponse, events: Sequence[AnyEvent]) -> Fields:
    """Return the response of a turn that runs in another process.

    `events` are those that the other process has stored so far.
    """
    if not events:
        return stored_response(stored)
    return response.object_of(response.answer_of(events), stored.turn.dialect_options)


async def _stop(turn: Turn) -> None:
    """Cancel a turn and wait for its final record."""
    turn.stop(Reason.CANCEL_REQUESTED)
    await turn.final.wait()
