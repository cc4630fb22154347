"""`POST /v1/chat/completions`: a turn in the dialect of OpenAI's Chat Completions."""

from collections.abc import Mapping
from urllib.parse import quote

import trio
from quart import Blueprint, Response, request

from actors.events import Ended, RouteChanged, Started, Warning
from actors.journal import Journal
from actors.lease import Lease
from actors.providers.base import Provider
from actors.registry import Draining, TooManyTurns
from actors.turn import Turn, TurnRequest
from web.chat_request import ChatRequest, receive_chat_request
from web.connection import request_life
from web.dialects.chat_completion import completion, has_finish
from web.dialects.openai_chat import FINISH_REASONS, NAME, OpenAIChat
from web.errors import ending_error, unavailable
from web.json_body import READERS
from web.logs import marking_logs
from web.responses import error_response, json_response
from web.service import TENANT, Service
from web.sse import event_stream

_PLAIN = "/:@+,=()[]~ "
_UNSEEN = (Started, RouteChanged, Warning, Ended)
"""Events that promise the client nothing yet."""


def chat_routes(service: Service) -> Blueprint:
    """The blueprint of the chat surface."""
    blueprint = Blueprint("chat", __name__)
    readers = trio.CapacityLimiter(READERS)

    @blueprint.post("/v1/chat/completions")
    async def chat_completions() -> Response:
        body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
        ask = await receive_chat_request(body, readers)
        turn = start_turn(service, turn_request(service, ask))
        life = request_life(request._get_current_object())  # type: ignore[attr-defined]
        life.turn = turn
        life.stack.callback(service.metrics.request_over, life)
        await life.stack.enter_async_context(Lease(turn, settle_s=service.settle_s))
        if ask.stream:
            return await streamed(turn, service)
        return await whole(turn)

    return blueprint


def turn_request(service: Service, ask: ChatRequest) -> TurnRequest:
    """The turn that a chat request asks for; raises `ApiError` (404) for an unknown model."""
    plan = service.planner.find(ask.model)
    return TurnRequest(
        model=ask.model,
        routes=plan.routes,
        call=ask.call,
        dialect=NAME,
        dialect_options={"include_usage": ask.include_usage},
        total_s=plan.total_s,
        tenant_id=TENANT,
        mode=plan.mode,
        resume_window_s=plan.resume_window_s,
        keep_text=ask.keep_text,
        max_answer_bytes=service.config.turns.max_answer_bytes,
        price=plan.price,
        on_cut=plan.on_cut,
        continue_instruction=plan.continue_instruction,
        strict=ask.strict,
        replaceable=not ask.stream,
    )


def start_turn(
    service: Service, asked: TurnRequest, providers: Mapping[str, Provider] | None = None
) -> Turn:
    """Begin the turn; raises `ApiError` (503) while draining or when there are too many."""
    try:
        return service.registry.start(asked, marking_logs(), providers)
    except Draining:
        text = "The server is shutting down and takes no new turns."
        raise unavailable(text, code="draining", retry_after_s=1.0) from None
    except TooManyTurns:
        text = "The limit of concurrent turns is reached (limits.concurrent_turns)."
        raise unavailable(text, code="too_many_turns", retry_after_s=1.0) from None


async def streamed(turn: Turn, service: Service) -> Response:
    """A stream of the turn; an error with its status if it failed before any route answered.

    After `turns.commit_after_s` seconds of neither the stream begins all the same.
    """
    with trio.move_on_after(service.config.turns.commit_after_s):
        await first_event(turn.journal)
    headers = turn_headers(turn)
    ended = failed_without_content(turn.journal)
    if ended is not None:
        return error_response(ending_error(ended), headers)
    dialect = OpenAIChat(turn.request.dialect_options)
    return event_stream(service.writer(turn, dialect), headers)


async def whole(turn: Turn) -> Response:
    """The whole answer as one object, or the error that the turn ended in."""
    await turn.final.wait()
    ended = turn.journal.events[-1]
    headers = turn_headers(turn)
    if not isinstance(ended, Ended) or has_finish(ended):
        return json_response(completion(turn.journal.events), headers=headers)
    return error_response(ending_error(ended), headers)


async def first_event(journal: Journal) -> None:
    """Wait until a route has answered or the turn is over."""
    while not journal.events and not journal.closed:
        await journal.wait()


def failed_without_content(journal: Journal) -> Ended | None:
    """The end of a turn that was over before it said anything, if that can still be a status."""
    last = journal.events[-1] if journal.closed else None
    if not isinstance(last, Ended) or last.reason in FINISH_REASONS:
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
