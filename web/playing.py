"""What all surfaces have in common: they begin a turn, hold a lease on it, and answer with it."""

from collections.abc import Mapping
from functools import partial
from urllib.parse import quote

import trio
from quart import Request, Response, request

from actors.events import Ended, RouteChanged, Started, Warning
from actors.journal import Journal
from actors.lease import Lease
from actors.long_answers import is_long
from actors.providers.base import Provider
from actors.registry import Draining, TooManyTurns
from actors.turn import Turn, TurnRequest
from web.connection import request_life
from web.dialects.frames import START
from web.dialects.kinds import KINDS, DialectKind
from web.errors import ApiError, ending_error, unavailable
from web.json_responses import error_response, made_response
from web.logs import marking_logs
from web.service import Service
from web.sse import event_stream

_PLAIN = "/:@+,=()[]~ "
_UNSEEN = (Started, RouteChanged, Warning, Ended)
"""Events that promise the client nothing yet."""


async def begin(
    service: Service, asked: TurnRequest, providers: Mapping[str, Provider] | None = None
) -> Turn:
    """Start the turn and hold a lease on it for as long as this request lives.

    Raises `ApiError` (503) while draining or when there are too many.
    """
    turn = start_turn(service, asked, providers)
    life = request_life(current_request())
    life.turn = turn
    life.stack.callback(service.metrics.request_over, life)
    await life.stack.enter_async_context(Lease(turn, settle_s=service.settle_s))
    return turn


def start_turn(
    service: Service, asked: TurnRequest, providers: Mapping[str, Provider] | None = None
) -> Turn:
    """Start the turn, and nothing else; raises as `begin` does."""
    try:
        return service.registry.start(asked, marking_logs(), providers)
    except Draining:
        raise no_new_turns() from None
    except TooManyTurns:
        text = "The limit of concurrent turns is reached (limits.concurrent_turns)."
        raise unavailable(text, code="too_many_turns", retry_after_s=1.0) from None


def no_new_turns() -> ApiError:
    """A 503: the server drains."""
    text = "The server is shutting down and takes no new turns."
    return unavailable(text, code="draining", retry_after_s=1.0)


async def answer(service: Service, turn: Turn, *, stream: bool) -> Response:
    """The response that starts a turn, in the turn's dialect."""
    kind = KINDS[turn.request.dialect]
    return await streamed(service, turn, kind) if stream else await whole(service, turn, kind)


async def streamed(service: Service, turn: Turn, kind: DialectKind) -> Response:
    """A stream of the turn; an error with its status if it failed before any route answered.

    After `turns.commit_after_s` seconds of neither the stream begins all the same.
    """
    with trio.move_on_after(service.config.turns.commit_after_s):
        await first_event(turn.journal)
    headers = turn_headers(turn)
    ended = failed_without_content(turn.journal, kind)
    if ended is not None:
        return error_response(ending_error(ended), headers, kind.error)
    dialect = kind.stream(turn.request.dialect_options, START)
    return event_stream(service.writer(turn, dialect), headers)


async def whole(service: Service, turn: Turn, kind: DialectKind) -> Response:
    """The whole answer as one object, or the error that the turn ended in."""
    await turn.final.wait()
    journal = turn.journal.events
    ended = journal[-1]
    headers = turn_headers(turn)
    if isinstance(ended, Ended) and not kind.tells(ended):
        return error_response(ending_error(ended), headers, kind.error)
    make = partial(kind.whole, journal, turn.request.dialect_options, turn.items)
    return await made_response(make, headers, long=is_long(journal), threads=service.threads)


async def first_event(journal: Journal) -> None:
    """Wait until a route has answered or the turn is over."""
    while not journal.events and not journal.closed:
        await journal.wait()


def failed_without_content(journal: Journal, kind: DialectKind) -> Ended | None:
    """The end of a turn that was over before it said anything, if that can still be a status."""
    last = journal.events[-1] if journal.closed else None
    if not isinstance(last, Ended) or last.reason in kind.finishes:
        return None
    return last if all(isinstance(event, _UNSEEN) for event in journal.events) else None


def turn_headers(turn: Turn) -> dict[str, str]:
    """What every response of a turn carries."""
    headers = {"X-Turn-Id": turn.id}
    if turn.answered_by is not None:
        # Clients can name a route directly, with whatever characters.
        headers["X-Trouper-Route"] = quote(str(turn.answered_by), safe=_PLAIN)
    if turn.stored not in {None, "committed"}:
        headers["X-Turn-Stored"] = str(turn.stored)
    return headers


def current_request() -> Request:
    """The request that is being answered, itself and not Quart's proxy for it."""
    return request._get_current_object()  # type: ignore[attr-defined, no-any-return]
