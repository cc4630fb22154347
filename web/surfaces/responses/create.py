"""Starts the turns of Responses requests."""

from collections.abc import Awaitable, Callable
from functools import partial

from msgspec.structs import replace

from actors.providers.formats.vendor_extensions import THINKING
from actors.runtime.offload import off_loop
from actors.turn.model_call import JSON, ModelCall
from actors.turn.request import TurnRequest
from actors.turn.state import Turn
from store.records.turn_records import Principal
from web.dialects.openai_responses.stream import NAME
from web.service import Service
from web.surfaces.responses.compact import summary_call
from web.surfaces.responses.history.model_context import (
    ModelContext,
    PreparedRequest,
    knows_thinking,
    model_context,
    prepare,
)
from web.surfaces.responses.history.stored_history import NONE_UNSTORED, Unstored
from web.surfaces.responses.request import ResponsesRequest
from web.turns.planner import ModelRequest

Start = Callable[[TurnRequest], Awaitable[Turn]]

_USER_PARAMETERS = ("user", "safety_identifier", "prompt_cache_key")
"""Parameters of a compaction request that its summary call keeps: they identify the user."""


async def start_response(
    service: Service,
    principal: Principal,
    request: ResponsesRequest,
    start: Start,
    unstored: Unstored = NONE_UNSTORED,
) -> Turn:
    """Prepare the turn of a request and start it with `start`; raises `ApiError`.

    Until it has started, no other turn of its conversation can start. It may continue a response
    that is `unstored`.
    """
    with service.conversations.claim(principal, request.past.conversation, service.registry):
        prepared = await prepare(service, principal, request, unstored)
        context = await model_context(service, prepared)
        return await start(_request(service, prepared, context))


async def start_summary(service: Service, prepared: PreparedRequest, start: Start) -> Turn:
    """Start a turn that summarises a conversation; its content is not stored."""
    request = prepared.request
    make_messages = partial(summary_call, prepared.conversation.groups, request.instructions)
    turn_request = _request(service, prepared, ModelContext((), ()))
    call = ModelCall(
        messages=await off_loop(prepared.large, service.readers, make_messages),
        parameters={
            name: request.parameters[name]
            for name in _USER_PARAMETERS
            if name in request.parameters
        },
    )
    return await start(
        replace(
            turn_request,
            call=call,
            keep_text=False,
            input_items=None,
            previous_id=None,
            conversation=None,
            replaceable=True,
        )
    )


async def count_input(service: Service, prepared: PreparedRequest) -> int:
    """Estimate the input tokens of a request on the first route, without images."""
    context = await model_context(service, prepared)
    call = ModelCall(messages=context.messages, parameters=prepared.request.parameters)
    return service.estimates.estimate_input(str(prepared.plan.routes[0].route), call)


def _request(service: Service, prepared: PreparedRequest, context: ModelContext) -> TurnRequest:
    request = prepared.request
    asked = ModelRequest(
        model=request.model,
        call=_call(service, prepared, context),
        dialect_options={"echo": _echo(prepared)},
        stream=request.stream,
        strict=request.strict,
        keep_text=request.store,
    )
    turn = prepared.plan.turn(asked, NAME, prepared.principal)
    return replace(
        turn,
        previous_id=prepared.history.turn_id,
        conversation=request.past.conversation,
        input_items=request.stored_input if request.store else None,
        notes=context.notes,
    )


def _call(service: Service, prepared: PreparedRequest, context: ModelContext) -> ModelCall:
    request, parameters = prepared.request, prepared.request.parameters
    if request.thinking and knows_thinking(service, prepared.plan):
        parameters = {**parameters, "reasoning": request.thinking}
    return ModelCall(
        messages=context.messages,
        parameters=parameters,
        # Formats that cannot send reasoning of earlier answers warn about it by this name.
        foreign={THINKING: ()} if context.has_reasoning else {},
    )


def _echo(prepared: PreparedRequest) -> dict[str, JSON]:
    """Return the fields of the response object that repeat the request and its history."""
    past = prepared.request.past
    return prepared.request.echo | {
        "instructions": prepared.conversation.instructions,
        "previous_response_id": past.previous,
        "conversation": None if past.conversation is None else {"id": past.conversation},
    }
