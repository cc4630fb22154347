"""Starts turns for all surfaces: begin a turn, hold a lease on it, and respond with its answer."""

from functools import partial
from urllib.parse import quote

import trio
from quart import Request, Response, request

from actors.answer.codec import is_long
from actors.journal.journal import Journal
from actors.turn.events import Ended, RouteChanged, Started, Warning
from actors.turn.request import TurnRequest
from actors.turn.state import Lease, Turn
from actors.turn_registry import Draining, TooManyTurns
from web.dialects.base import DialectSpec
from web.dialects.frames import START
from web.dialects.turn_errors import ending_error
from web.http.api_error import ApiError, unavailable
from web.http.connection import request_context_of
from web.http.responses import error_response, event_stream, offloaded_response
from web.observability.logs import turn_log_binder
from web.service import Service

_PLAIN = "/:@+,=()[]~ "
_UNSEEN = (Started, RouteChanged, Warning, Ended)
"""Types of events that contain no part of the answer."""


async def begin(service: Service, turn_request: TurnRequest) -> Turn:
    """Start a turn and hold a lease on it until the current request ends.

    Raises `ApiError` (503) while the server drains or if too many turns are live.
    """
    turn = start_turn(service, turn_request)
    context = request_context_of(current_request())
    context.turn = turn
    context.stack.callback(service.metrics.request_over, context)
    await context.stack.enter_async_context(Lease(turn, settle_s=service.settle_s))
    return turn


def start_turn(service: Service, turn_request: TurnRequest) -> Turn:
    """Start a turn without a lease. Raise the same errors as `begin`."""
    try:
        return service.registry.start(turn_request, turn_log_binder())
    except Draining:
        raise no_new_turns() from None
    except TooManyTurns:
        text = "The limit on concurrent turns is reached (limits.concurrent_turns). Retry later."
        raise unavailable(text, code="too_many_turns", retry_after_s=1.0) from None


def no_new_turns() -> ApiError:
    """Return a 503: the server is draining."""
    text = "The server is shutting down and accepts no new turns. Retry later."
    return unavailable(text, code="draining", retry_after_s=1.0)


async def answer(service: Service, turn: Turn, *, stream: bool) -> Response:
    """Return the response to the request that started `turn`, in the turn's dialect."""
    spec = service.dialects[turn.request.dialect]
    return await streamed(service, turn, spec) if stream else await whole(service, turn, spec)


async def streamed(service: Service, turn: Turn, spec: DialectSpec) -> Response:
    """Return a stream of the turn, or an error response if it failed before any route answered.

    If neither happens within `turns.commit_after_s`, the stream begins anyway.
    """
    with trio.move_on_after(service.config.turns.commit_after_s):
        await first_event(turn.journal)
    headers = turn_headers(turn)
    ended = failed_without_content(turn.journal, spec)
    if ended is not None:
        return error_response(ending_error(ended), headers)
    dialect = spec.stream(turn.request.dialect_options, START)
    return event_stream(service.writer(turn, dialect), headers)


async def whole(service: Service, turn: Turn, spec: DialectSpec) -> Response:
    """Return the complete answer as one object, or the error response of a failed turn."""
    await turn.final.wait()
    journal = turn.journal.events
    ended = journal[-1]
    headers = turn_headers(turn)
    if isinstance(ended, Ended) and ended.reason not in spec.finishes:
        return error_response(ending_error(ended), headers)
    make = partial(_with_warnings, spec, turn)
    return await offloaded_response(make, headers, long=is_long(journal), threads=service.threads)


def _with_warnings(spec: DialectSpec, turn: Turn) -> object:
    """Return the answer's object with the `warnings` that a stream has as comments, if any."""
    journal = turn.journal.events
    whole = spec.whole(journal, turn.request.dialect_options, turn.answer)
    warnings = [
        {"code": event.code, "message": event.message}
        for event in journal
        if isinstance(event, Warning)
    ]
    return {**whole, "warnings": warnings} if warnings else whole


async def first_event(journal: Journal) -> None:
    """Wait until a route has answered or the turn is over."""
    while not journal.events and not journal.closed:
        await journal.wait()


def failed_without_content(journal: Journal, spec: DialectSpec) -> Ended | None:
    """Return the `Ended` of a turn that failed before any content; None if it has content.

    Such a failure can still be sent as an error status.
    """
    last = journal.events[-1] if journal.closed else None
    if not isinstance(last, Ended) or last.reason in spec.finishes:
        return None
    return last if all(isinstance(event, _UNSEEN) for event in journal.events) else None


def turn_headers(turn: Turn) -> dict[str, str]:
    """Return the headers of every response about a turn."""
    headers = {"X-Turn-Id": turn.id}
    if turn.answered_by is not None:
        # Clients can name a route directly, so it may contain any characters.
        headers["X-Trouper-Route"] = quote(str(turn.answered_by), safe=_PLAIN)
    if turn.stored not in {None, "committed"}:
        headers["X-Turn-Stored"] = str(turn.stored)
    return headers


def current_request() -> Request:
    """Return the current request object itself, not Quart's proxy for it."""
    return request._get_current_object()  # type: ignore[attr-defined, no-any-return]
