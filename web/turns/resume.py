"""Resumes streams: sends a turn's events again, live or from the store."""

import msgspec
from quart import Response, request

from actors.journal.journal import Journal
from actors.turn.events import AnyEvent
from actors.turn.state import Lease, Turn
from actors.writer import Writer
from store.records.turn_records import TurnView
from web.dialects.base import Render
from web.dialects.frames import START, BadCursor, Cursor, parse_cursor
from web.http.api_error import ApiError, invalid
from web.http.connection import request_stack
from web.http.responses import event_stream
from web.service import Service
from web.turns.resume_position import PositionSearch, ResumePosition
from web.turns.start import current_request, turn_headers
from web.turns.stored_events import load_stored_events

_DELETED = "it was deleted"


async def follow(service: Service, turn: Turn, render: Render, after: Cursor) -> Response:
    """Return a stream of a turn of this process, starting after the frame `after`.

    Raises `ApiError`: 410 if the turn was deleted, 400 if the frame does not exist.
    """
    if turn.deleted_at is not None:
        raise _gone(turn, _DELETED)
    if not turn.journal.closed:
        stack = request_stack(current_request())
        await stack.enter_async_context(Lease(turn, settle_s=service.settle_s))
    position = await _position(service, turn.journal, render, after)
    writer = service.reader(position.reading, position.stream, position.frames, lambda: turn.stored)
    return _response(position, writer, turn_headers(turn))


async def replay(service: Service, turn: TurnView, render: Render, after: Cursor) -> Response:
    """Return a stream of an ended turn from the store, starting after the frame `after`.

    Raises `ApiError`: 410 if the events are not kept, 400 if the frame does not exist.
    """
    journal = Journal(await _stored_events(service, turn), closed=True)
    position = await _position(service, journal, render, after)
    writer = service.reader(position.reading, position.stream, position.frames)
    return _response(position, writer, {"X-Turn-Id": turn.id})


def turn_elsewhere(turn: TurnView) -> ApiError:
    """Return a 409: the turn belongs to another process."""
    text = f"Turn {turn.id} runs in another process. Only that process can stream or end it."
    return invalid(text, code="turn_elsewhere", status=409)


def resume_cursor(dialect: str) -> Cursor:
    """Return the request's resume cursor, or `START` without one. Raises `ApiError` (400)."""
    given = request.headers.get("Last-Event-ID") or request.args.get("starting_after")
    if not given:
        return START
    try:
        return parse_cursor(given, dialect)
    except BadCursor as error:
        raise _invalid_cursor(error) from None


async def _position(
    service: Service, journal: Journal, render: Render, after: Cursor
) -> ResumePosition:
    try:
        return await PositionSearch(journal, render, after, service.threads).find()
    except BadCursor as error:
        raise _invalid_cursor(error) from None


def _response(position: ResumePosition, writer: Writer, headers: dict[str, str]) -> Response:
    """Return the remaining events; a 204, which stops an `EventSource`, if none remain."""
    if position.is_last:
        return Response("", status=204, headers=headers)
    return event_stream(writer, headers)


def _invalid_cursor(error: BadCursor) -> ApiError:
    return invalid(str(error), param="starting_after", code="invalid_cursor")


async def _stored_events(service: Service, turn: TurnView) -> list[AnyEvent]:
    if turn.deleted_at is not None:
        raise _gone(turn, _DELETED)
    segments = await service.store.turns.segments(turn.id)
    try:
        events = await load_stored_events(segments, service.threads)
    except msgspec.MsgspecError:
        raise _gone(turn, "this version of the server cannot read them") from None
    if not turn.keep_text:
        raise _gone(turn, "its request has store: false")
    if len(events) != (turn.last_event or 0) + 1:
        raise _gone(turn, "it is older than journal.retention_s")
    return events


def _gone(turn: Turn | TurnView, why: str) -> ApiError:
    text = f"The events of turn {turn.id} are gone: {why}."
    return invalid(text, code="events_gone", status=410)
