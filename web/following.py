"""A turn's events again as a stream: of one that plays, or of one that is over, from the store."""

from collections.abc import Iterable
from itertools import islice

import msgspec
import trio
from quart import Response, request

from actors.events import AnyEvent
from actors.lease import Lease
from actors.outcome import ErrorInfo
from actors.turn import Turn
from store.records import TurnView
from web.connection import request_stack
from web.dialects.frames import START, BadCursor, Cursor, parse_cursor
from web.dialects.rendering import Render, Rendering
from web.dialects.retold import retold
from web.errors import ApiError, invalid
from web.kept_events import kept_events
from web.playing import current_request, turn_headers
from web.service import Service
from web.sse import event_document, event_stream

_AT_ONCE = 1000
"""Events that are rendered before other tasks get their turn; a long journal takes 0.1 s."""
_DELETED = "it was deleted"


async def follow(service: Service, turn: Turn, render: Render, after: Cursor) -> Response:
    """The events of a turn of this process.

    Raises `ApiError`: 410 where it was deleted, 400 for a frame that there is not.
    """
    if turn.deleted_at is not None:
        raise _gone(turn, _DELETED)
    if turn.journal.closed:
        return await _document(render, after, turn.journal.events, turn_headers(turn))
    stack = request_stack(current_request())
    await stack.enter_async_context(Lease(turn, settle_s=service.settle_s))
    if after != START:
        await _find(render(after), turn.journal.events)
    return event_stream(service.writer(turn, render(after)), turn_headers(turn))


async def replay(service: Service, turn: TurnView, render: Render, after: Cursor) -> Response:
    """The events of a turn that has ended.

    Raises `ApiError`: 410 where they are not kept, 400 for a frame that there is not.
    """
    events = await _kept_events(service, turn)
    return await _document(render, after, events, {"X-Turn-Id": turn.id})


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


async def _document(
    render: Render, after: Cursor, events: list[AnyEvent], headers: dict[str, str]
) -> Response:
    """All that is left of a turn that is over; 204 tells an `EventSource` to stop asking."""
    rendering = render(after)
    frames = await _rendered(rendering, events)
    if rendering.taken_back and _saw_none_of(rendering, after):
        before, rendering = rendering, render(after)
        rendering.numbering.go_on_from(before.numbering)
        frames = await _rendered(rendering, retold(events))
    _check(rendering)
    if not frames:
        return Response("", status=204, headers=headers)
    return event_document(rendering.heartbeat + frames, headers)


def _saw_none_of(rendering: Rendering, after: Cursor) -> bool:
    """Whether the client has no frame of this whole rendering, nor of one that was lost."""
    last = rendering.numbering.last
    return last.epoch == START.epoch and (after == START or after > last)


async def _rendered(rendering: Rendering, events: Iterable[AnyEvent]) -> bytes:
    parts: list[bytes] = []
    coming = iter(events)
    while (batch := list(islice(coming, _AT_ONCE))) or rendering.pending:
        parts.append(rendering.render(batch))
        await trio.lowlevel.checkpoint()
    return b"".join(parts)


async def _find(rendering: Rendering, events: list[AnyEvent]) -> None:
    """Raise `ApiError` (400) if the client's frame is none of a turn's that still plays.

    What it may have seen stands in the journal already, since nothing is shown before.
    """
    start = 0
    while start < len(events) and rendering.numbering.awaited:
        batch = events[start : start + _AT_ONCE]
        rendering.render(batch)
        start += len(batch)
        await trio.lowlevel.checkpoint()
    _check(rendering)


def _check(rendering: Rendering) -> None:
    try:
        rendering.numbering.check()
    except BadCursor as error:
        raise _bad(error) from None


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
