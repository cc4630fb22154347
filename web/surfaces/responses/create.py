"""Starts the turns of Responses requests."""

from collections.abc import Awaitable, Callable
from functools import partial

from msgspec.structs import replace

from actors.providers.formats.vendor_extensions import THINKING
from actors.runtime.offload import off_loop
from actors.turn.model_call import CHAT_PARAMETERS, JSON, ModelCall
from actors.turn.request import TurnRequest
from actors.turn.state import Turn
from web.dialects.openai_responses.stream import NAME
from web.surfaces.responses.compact import summary_call
from web.surfaces.responses.history.history import Caller
from web.surfaces.responses.history.model_context import (
    ModelContext,
    PreparedRequest,
    model_context,
    prepare,
)
from web.surfaces.responses.request import ResponsesRequest
from web.turns.planner import ModelRequest

Start = Callable[[TurnRequest], Awaitable[Turn]]

_SHARED = CHAT_PARAMETERS | {"reasoning"}
"""Parameters that other APIs know too; all others are sent only to Responses."""

_USER_PARAMETERS = ("user", "safety_identifier", "prompt_cache_key")
"""Parameters of a compaction request that its summary call keeps: they identify the user."""


async def start_response(caller: Caller, request: ResponsesRequest, start: Start) -> Turn:
    """Prepare the turn of a request and start it with `start`; raises `ApiError`.

    Until it has started, no other turn of its conversation can start.
    """
    service, conversation = caller.service, request.past.conversation
    with service.conversations.claim(caller.principal, conversation, service.registry):
        prepared = await prepare(caller, request)
        context = await model_context(prepared)
        turn_request = replace(
            _turn_request(prepared, _call(prepared, context)),
            previous_id=prepared.history.turn_id,
            conversation=conversation,
            input_items=request.stored_input if request.store else None,
            notes=context.notes,
        )
        return await start(turn_request)


async def summary_request(prepared: PreparedRequest) -> TurnRequest:
    """Return the request for a turn that summarises a conversation; its content is not stored."""
    request, readers = prepared.request, prepared.caller.service.readers
    make_messages = partial(summary_call, prepared.conversation.groups, request.instructions)
    messages = await off_loop(prepared.large, readers, make_messages)
    given = request.parameters
    parameters = {name: given[name] for name in _USER_PARAMETERS if name in given}
    turn_request = _turn_request(prepared, ModelCall(messages=messages, parameters=parameters))
    return replace(turn_request, keep_text=False, replaceable=True)


async def count_input(prepared: PreparedRequest) -> int:
    """Estimate the input tokens of a request on the first route, without images."""
    context = await model_context(prepared)
    call = ModelCall(messages=context.messages, parameters=prepared.request.parameters)
    route = prepared.plan.routes[0].route
    return prepared.caller.service.estimates.estimate_input(str(route), call)


def _turn_request(prepared: PreparedRequest, call: ModelCall) -> TurnRequest:
    request = prepared.request
    asked = ModelRequest(
        model=request.model,
        call=call,
        dialect_options={"echo": _echo(prepared)},
        stream=request.stream,
        strict=request.strict,
        keep_text=request.store,
    )
    return prepared.plan.turn(asked, NAME, prepared.caller.principal)


def _call(prepared: PreparedRequest, context: ModelContext) -> ModelCall:
    request, parameters = prepared.request, prepared.request.parameters
    if request.thinking and prepared.knows_thinking:
        parameters = {**parameters, "reasoning": request.thinking}
    # Formats that cannot send reasoning of earlier answers warn about it by its name.
    own = {*(parameters.keys() - _SHARED), *([THINKING] if context.has_reasoning else [])}
    foreign: dict[str, tuple[str, ...]] = dict.fromkeys(sorted(own), ())
    return ModelCall(
        messages=context.messages,
        parameters=parameters,
        foreign=foreign,
        client="openai-responses",
    )


def _echo(prepared: PreparedRequest) -> dict[str, JSON]:
    """Return the fields of the response object that repeat the request and its history."""
    past = prepared.request.past
    return prepared.request.echo | {
        "instructions": prepared.conversation.instructions,
        "previous_response_id": past.previous,
        "conversation": None if past.conversation is None else {"id": past.conversation},
    }
