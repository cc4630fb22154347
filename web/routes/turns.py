"""`/v1/turns`: what became of turns, their events again, and an end to them."""

import re
from collections.abc import Mapping
from itertools import chain

import msgspec
import trio
from quart import Blueprint, Response, request

from actors.checkpointer import decode_events
from actors.events import AnyEvent
from actors.lease import Lease
from actors.outcome import ErrorInfo, Reason, Status
from actors.providers.base import JSON
from actors.turn import Turn
from actors.writer import Dialect
from store.records import TurnView
from web.connection import request_stack
from web.dialects.frames import START, BadCursor, Cursor, parse_cursor
from web.dialects.kinds import KINDS
from web.errors import ApiError, invalid, not_found
from web.playing import current_request, turn_headers
from web.responses import json_response
from web.service import TENANT, Service
from web.sse import event_document, event_stream
from web.turn_json import listed_turn, live_turn, stored_turn

_TURN_ID = re.compile(r"turn_[0-9a-z]{1,64}")
MAX_LIMIT = 100
DEFAULT_LIMIT = 20
_AT_ONCE = 1000
"""Events that are rendered before other tasks get their turn; a long journal takes 0.1 s."""
_DELETED = "it was deleted"


def turn_routes(service: Service) -> Blueprint:
    """The blueprint of the turn resource."""
    blueprint = Blueprint("turns", __name__)

    @blueprint.after_request
    async def name_the_turn(response: Response) -> Response:
        turn_id = (request.view_args or {}).get("turn_id")
        if turn_id is not None and response.status_code != 404:
            response.headers["X-Turn-Id"] = turn_id
        return response

    @blueprint.get("/v1/turns")
    async def turns() -> Response:
        page = await service.store.list_turns(
            TENANT,
            limit=_limit(request.args.get("limit")),
            status=_status(request.args.get("status")),
            cursor=_page_cursor(request.args.get("cursor")),
        )
        return json_response({"data": [listed_turn(t) for t in page.data], "next": page.next})

    @blueprint.get("/v1/turns/<turn_id>")
    async def turn(turn_id: str) -> Response:
        live = service.registry.find(TENANT, turn_id)
        described = live_turn(live) if live else stored_turn(await _stored(service, turn_id))
        return json_response(described, headers={"X-Turn-Id": turn_id})

    @blueprint.get("/v1/turns/<turn_id>/events")
    async def events(turn_id: str) -> Response:
        live = service.registry.find(TENANT, turn_id)
        if live is not None:
            return await _follow(service, live)
        return await _replay(service, await _stored(service, turn_id))

    @blueprint.post("/v1/turns/<turn_id>/cancel")
    async def cancel(turn_id: str) -> Response:
        live = service.registry.find(TENANT, turn_id)
        if live is not None:
            live.stop(Reason.CANCEL_REQUESTED)
            await live.final.wait()
            return json_response(live_turn(live), headers=turn_headers(live))
        stored = await _stored(service, turn_id)
        if stored.ended_at is None:
            raise _elsewhere(stored)
        return json_response(stored_turn(stored), headers={"X-Turn-Id": turn_id})

    return blueprint


async def _stored(service: Service, turn_id: str) -> TurnView:
    turn = await service.store.get_turn(TENANT, turn_id)
    if turn is None:
        raise not_found(f"There is no turn {turn_id[:100]!r}.", code="turn_not_found")
    return turn


async def _follow(service: Service, turn: Turn) -> Response:
    dialect = _dialect(turn.request.dialect, turn.request.dialect_options)
    if turn.deleted_at is not None:
        raise _gone(turn, _DELETED)
    if turn.journal.closed:
        return await _document(dialect, turn.journal.events, turn_headers(turn))
    stack = request_stack(current_request())
    await stack.enter_async_context(Lease(turn, settle_s=service.settle_s))
    return event_stream(service.writer(turn, dialect), turn_headers(turn))


async def _replay(service: Service, turn: TurnView) -> Response:
    if turn.ended_at is None:
        raise _elsewhere(turn)
    dialect = _dialect(turn.dialect, turn.dialect_options)
    events = await _kept_events(service, turn)
    return await _document(dialect, events, {"X-Turn-Id": turn.id})


async def _document(dialect: Dialect, events: list[AnyEvent], headers: dict[str, str]) -> Response:
    """All that is left of a turn that is over; 204 tells an `EventSource` to stop asking."""
    parts: list[bytes] = []
    for start in range(0, len(events), _AT_ONCE):
        parts.append(dialect.render(events[start : start + _AT_ONCE]))
        await trio.lowlevel.checkpoint()
    frames = b"".join(parts)
    if not frames:
        return Response("", status=204, headers=headers)
    return event_document(dialect.heartbeat + frames, headers)


async def _kept_events(service: Service, turn: TurnView) -> list[AnyEvent]:
    if turn.deleted_at is not None:
        raise _gone(turn, _DELETED)
    segments = await service.store.segments(turn.id)
    try:
        events = list(chain.from_iterable(decode_events(s.blob) for s in segments))
    except msgspec.MsgspecError:
        raise _gone(turn, "this version cannot read them") from None
    if not turn.keep_text:
        raise _gone(turn, "it asked for its text not to be kept")
    if len(events) != (turn.last_event or 0) + 1:
        raise _gone(turn, "it is older than journal.retention_s")
    return events


def _dialect(turn_dialect: str, options: Mapping[str, JSON]) -> Dialect:
    """How the request wants the events: in the turn's own dialect, or as `dialect` says."""
    if turn_dialect not in KINDS:
        raise invalid("A turn of embeddings has no events to stream.", code="no_events")
    name = request.args.get("dialect", turn_dialect)
    kind = KINDS.get(name)
    if kind is None:
        raise invalid(f"dialect: must be one of {', '.join(KINDS)}.", param="dialect")
    return kind.stream(options if name == turn_dialect else {}, _cursor(name))


def _elsewhere(turn: TurnView) -> ApiError:
    text = f"Turn {turn.id} plays in another process, which alone can stream or end it."
    kind = "invalid_request_error"
    return ApiError(ErrorInfo(status=409, message=text, type=kind, code="turn_elsewhere"))


def _gone(turn: Turn | TurnView, why: str) -> ApiError:
    return ApiError(
        ErrorInfo(
            status=410,
            message=f"The events of turn {turn.id} are gone: {why}.",
            type="invalid_request_error",
            code="events_gone",
        )
    )


def _cursor(dialect: str) -> Cursor:
    given = request.headers.get("Last-Event-ID") or request.args.get("starting_after")
    if not given:
        return START
    try:
        return parse_cursor(given, dialect)
    except BadCursor as error:
        raise invalid(str(error), param="starting_after", code="invalid_cursor") from None


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise invalid(f"limit: must be a number from 1 to {MAX_LIMIT}.", param="limit")
    return limit


def _page_cursor(text: str | None) -> str | None:
    if text is not None and not _TURN_ID.fullmatch(text):
        raise invalid("cursor: must be the next of the page before.", param="cursor")
    return text


def _status(text: str | None) -> str | None:
    if text is None:
        return None
    if text not in set(Status):
        raise invalid(f"status: must be one of {', '.join(Status)}.", param="status")
    return text
