"""Serves `/v1/turns`: list and show turns, replay their events, and cancel them."""

import re
from functools import partial

from quart import Blueprint, Response, request

from actors.turn.outcome import Reason, Status
from actors.turn.request import TurnRequest
from store.records.turn_records import Principal, TurnView
from web.dialects.base import Render
from web.dialects.frames import Cursor
from web.http.api_error import invalid, not_found
from web.http.body import limit_parameter
from web.http.responses import json_response
from web.service import Service, Surface
from web.turns.resume import follow, replay, resume_cursor, turn_elsewhere
from web.turns.start import turn_headers
from web.turns.turn_json import listed_turn, live_turn, stored_turn

_TURN_ID = re.compile(r"turn_[0-9a-z]{1,64}")
MAX_LIMIT = 100
DEFAULT_LIMIT = 20


def turn_routes(service: Service) -> Blueprint:
    """Return the blueprint of the turn resource."""
    blueprint = Blueprint("turns", __name__)

    @blueprint.after_request
    async def name_the_turn(response: Response) -> Response:
        turn_id = (request.view_args or {}).get("turn_id", "")
        # Errors that come before the turn is looked up are of any id, which may be no valid header.
        if _TURN_ID.fullmatch(turn_id) and response.status_code != 404:
            response.headers["X-Turn-Id"] = turn_id
        return response

    @blueprint.get("/v1/turns")
    async def turns() -> Response:
        page = await service.store.turns.list_turns(
            _caller(service),
            limit=limit_parameter(DEFAULT_LIMIT, MAX_LIMIT),
            status=_status(request.args.get("status")),
            cursor=_page_cursor(request.args.get("cursor")),
        )
        return json_response({"data": [listed_turn(t) for t in page.data], "next": page.next})

    @blueprint.get("/v1/turns/<turn_id>")
    async def turn(turn_id: str) -> Response:
        live = service.registry.find(_caller(service), turn_id)
        return json_response(
            live_turn(live) if live else stored_turn(await _stored(service, turn_id))
        )

    @blueprint.get("/v1/turns/<turn_id>/events")
    async def events(turn_id: str) -> Response:
        live = service.registry.find(_caller(service), turn_id)
        if live is not None:
            return await follow(service, live, *_requested_stream(service, live.request))
        turn = await _ended(service, turn_id)
        return await replay(service, turn, *_requested_stream(service, turn))

    @blueprint.post("/v1/turns/<turn_id>/cancel")
    async def cancel(turn_id: str) -> Response:
        live = service.registry.find(_caller(service), turn_id)
        if live is not None:
            live.stop(Reason.CANCEL_REQUESTED)
            await live.final.wait()
            return json_response(live_turn(live), headers=turn_headers(live))
        return json_response(stored_turn(await _ended(service, turn_id)))

    return blueprint


def _caller(service: Service) -> Principal:
    return service.principal_of(request.headers)


async def _stored(service: Service, turn_id: str) -> TurnView:
    turn = await service.store.turns.get_turn(_caller(service), turn_id)
    if turn is None:
        raise not_found(f"There is no turn {turn_id[:100]!r}.", code="turn_not_found")
    return turn


async def _ended(service: Service, turn_id: str) -> TurnView:
    turn = await _stored(service, turn_id)
    if turn.ended_at is None:
        raise turn_elsewhere(turn)
    return turn


def _requested_stream(service: Service, turn: TurnRequest | TurnView) -> tuple[Render, Cursor]:
    """Return the stream and the cursor that the request asks for.

    The dialect is that of the turn, or the one in the query parameter `dialect`.
    """
    if turn.dialect not in service.dialects:
        raise invalid("A turn of embeddings has no events to stream.", code="no_events")
    name = request.args.get("dialect", turn.dialect)
    spec = service.dialects.get(name)
    if spec is None:
        raise invalid(f"dialect: must be one of {', '.join(service.dialects)}.", param="dialect")
    own = turn.dialect_options if name == turn.dialect else {}
    return partial(spec.stream, own), resume_cursor(name)


def _page_cursor(text: str | None) -> str | None:
    if text is not None and not _TURN_ID.fullmatch(text):
        raise invalid("cursor: must be the `next` of the previous page.", param="cursor")
    return text


def _status(text: str | None) -> str | None:
    if text is None:
        return None
    if text not in set(Status):
        raise invalid(f"status: must be one of {', '.join(Status)}.", param="status")
    return text


SURFACE = Surface(turn_routes)
