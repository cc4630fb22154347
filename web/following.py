"""A turn's events again as a stream: of one that plays, or of one that is over, from the store."""

from itertools import chain

import msgspec
import trio
from quart import Response, request

from actors.checkpointer import decode_events
from actors.events import AnyEvent
from actors.lease import Lease
from actors.outcome import ErrorInfo
from actors.turn import Turn
from actors.writer import Dialect
from store.records import TurnView
from web.connection import request_stack
from web.dialects.frames import START, BadCursor, Cursor, parse_cursor
from web.errors import ApiError, invalid
from web.playing import current_request, turn_headers
from web.service import Service
from web.sse import event_document, event_stream

_AT_ONCE = 1000
"""Events that are rendered before other tasks get their turn; a long journal takes 0.1 s."""
_DELETED = "it was deleted"


async def follow(service: Service, turn: Turn, dialect: Dialect) -> Response:
    """The events of a turn of this process; raises `ApiError` (410) where it was deleted."""
    if turn.deleted_at is not None:
        raise _gone(turn, _DELETED)
    if turn.journal.closed:
        return await _document(dialect, turn.journal.events, turn_headers(turn))
    stack = request_stack(current_request())
    await stack.enter_async_context(Lease(turn, settle_s=service.settle_s))
    return event_stream(service.writer(turn, dialect), turn_headers(turn))


async def replay(service: Service, turn: TurnView, dialect: Dialect) -> Response:
    """The events of a turn that has ended; raises `ApiError` (410) where they are not kept."""
    events = await _kept_events(service, turn)
    return await _document(dialect, events, {"X-Turn-Id": turn.id})


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
        raise invalid(str(error), param="starting_after", code="invalid_cursor") from None


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


def _gone(turn: Turn | TurnView, why: str) -> ApiError:
    return ApiError(
        ErrorInfo(
            status=410,
            message=f"The events of turn {turn.id} are gone: {why}.",
            type="invalid_request_error",
            code="events_gone",
        )
    )
