"""A turn's events again as a stream: of one that plays, or of one that is over, from the store."""

import msgspec
from quart import Response, request

from actors.events import AnyEvent
from actors.journal import Journal
from actors.lease import Lease
from actors.outcome import ErrorInfo
from actors.turn import Turn
from actors.writer import Writer
from store.records import TurnView
from web.connection import request_stack
from web.dialects.frames import START, BadCursor, Cursor, parse_cursor
from web.dialects.rendering import Render
from web.errors import ApiError, invalid
from web.kept_events import kept_events
from web.playing import current_request, turn_headers
from web.reading_on import Place, Search
from web.service import Service
from web.sse import event_stream

_DELETED = "it was deleted"


async def follow(service: Service, turn: Turn, render: Render, after: Cursor) -> Response:
    """The events of a turn of this process.

    Raises `ApiError`: 410 where it was deleted, 400 for a frame that there is not.
    """
    if turn.deleted_at is not None:
        raise _gone(turn, _DELETED)
    if not turn.journal.closed:
        stack = request_stack(current_request())
        await stack.enter_async_context(Lease(turn, settle_s=service.settle_s))
    place = await _place(service, turn.journal, render, after)
    writer = service.reader(place.reading, place.rendering, place.frames, lambda: turn.stored)
    return _told(place, writer, turn_headers(turn))


async def replay(service: Service, turn: TurnView, render: Render, after: Cursor) -> Response:
    """The events of a turn that has ended.

    Raises `ApiError`: 410 where they are not kept, 400 for a frame that there is not.
    """
    journal = Journal(await _kept_events(service, turn), closed=True)
    place = await _place(service, journal, render, after)
    writer = service.reader(place.reading, place.rendering, place.frames)
    return _told(place, writer, {"X-Turn-Id": turn.id})


def elsewhere(turn: TurnView) -> ApiError:
    """A 409: the turn is not one of this process."""
    text = f"Turn {turn.id} plays in another process, which alone can stream or end it."
    kind = "invalid_request_error"
    return ApiError(ErrorInfo(status=409, message=text, type=kind, code="turn_elsewhere"))


def cursor_given(dialect: str) -> Cursor:
    """The frame after which the request wants to go on; raises `ApiError` (400) for none of it."""
    given = request.headers.get("Last-Event-ID") or request.args.get("starting_after")
    if not given:
        return START
    try:
        return parse_cursor(given, dialect)
    except BadCursor as error:
        raise _bad(error) from None


async def _place(service: Service, journal: Journal, render: Render, after: Cursor) -> Place:
    try:
        return await Search(journal, render, after, service.threads).place()
    except BadCursor as error:
        raise _bad(error) from None


def _told(place: Place, writer: Writer, headers: dict[str, str]) -> Response:
    """All that is left of a turn; 204 tells an `EventSource` to stop asking."""
    if place.is_last:
        return Response("", status=204, headers=headers)
    return event_stream(writer, headers)


def _bad(error: BadCursor) -> ApiError:
    return invalid(str(error), param="starting_after", code="invalid_cursor")


async def _kept_events(service: Service, turn: TurnView) -> list[AnyEvent]:
    if turn.deleted_at is not None:
        raise _gone(turn, _DELETED)
    segments = await service.store.segments(turn.id)
    try:
        events = await kept_events(segments, service.threads)
    except msgspec.MsgspecError:
        raise _gone(turn, "this version cannot read them") from None
    if not turn.keep_text:
        raise _gone(turn, "it asked for its text not to be kept")
    if len(events) != (turn.last_event or 0) + 1:
        raise _gone(turn, "it is older than journal.retention_s")
    return events


def _gone(turn: Turn | TurnView, why: str) -> ApiError:
    return ApiError(
        ErrorInfo(
            status=410,
            message=f"The events of turn {turn.id} are gone: {why}.",
            type="invalid_request_error",
            code="events_gone",
        )
    )
