"""Starts the turns of Responses requests."""

from collections.abc import Awaitable, Callable
from functools import partial

from msgspec.structs import replace

from actors.providers.formats.openai_responses.frames import API
from actors.providers.formats.vendor_extensions import THINKING
from actors.providers.silent_provider import SilentProvider
from actors.runtime.offload import off_loop
from actors.turn.model_call import CHAT_PARAMETERS, JSON, ModelCall, Route
from actors.turn.outcome import NO_GUARDS
from actors.turn.request import PlannedRoute, TurnRequest
from actors.turn.state import Turn
from web.dialects.openai_responses.items import is_ours
from web.dialects.openai_responses.stream import NAME
from web.surfaces.responses.compact import summary_call
from web.surfaces.responses.history.conversation import chat_parameters
from web.surfaces.responses.history.history import Caller
from web.surfaces.responses.history.message_content import kinds_in
from web.surfaces.responses.history.model_context import (
    ModelContext,
    PreparedRequest,
    model_context,
    prepare,
)
from web.surfaces.responses.history.native_request import native_request
from web.surfaces.responses.input.items import REFERENCE
from web.surfaces.responses.request import ResponsesRequest
from web.turns.input_check import check_input
from web.turns.media_needs import MediaNeeds
from web.turns.planner import ModelRequest

Start = Callable[[TurnRequest, str], Awaitable[Turn]]
"""Starts a turn, whose input items are the JSON array."""

_NO_MEDIA = MediaNeeds()
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
        planned = _planned(prepared, context)
        turn_request = replace(
            planned,
            previous_id=prepared.history.turn_id,
            conversation=conversation,
            input_items=prepared.request.stored_input,
            input_ids=_given_ids(prepared.request) if request.store else (),
            notes=(*context.notes, *planned.notes),
        )
        turn_request = await check_input(service, turn_request)
        items = turn_request.input_items or "[]"
        if not request.store:
            turn_request = replace(turn_request, input_items=None)
        return await start(turn_request, items)


def _given_ids(request: ResponsesRequest) -> tuple[str, ...]:
    items = [*(request.past.items or ()), *request.input]
    given = (str(item["id"]) for item in items if "id" in item and item["type"] != REFERENCE)
    return tuple(id for id in given if not is_ours(id))


async def summary_request(prepared: PreparedRequest) -> TurnRequest:
    """Return the request for a turn that summarises a conversation; its content is not stored."""
    request, readers = prepared.request, prepared.caller.service.readers
    make_messages = partial(summary_call, prepared.conversation.groups, request.instructions)
    messages = await off_loop(prepared.large, readers, make_messages)
    given = request.parameters
    parameters = {name: given[name] for name in _USER_PARAMETERS if name in given}
    turn_request = _turn_request(prepared, ModelCall(messages=messages, parameters=parameters))
    return replace(turn_request, keep_text=False, replaceable=True, guards=NO_GUARDS)


async def count_input(prepared: PreparedRequest) -> int:
    """Estimate the input tokens of a request on the first route, without images."""
    context = await model_context(prepared)
    parameters = chat_parameters(prepared.request, prepared.conversation)
    call = ModelCall(messages=context.messages, parameters=parameters)
    route = prepared.plan.routes[0].route
    return prepared.caller.service.estimates.estimate_input(str(route), call)


def _planned(prepared: PreparedRequest, context: ModelContext) -> TurnRequest:
    """Return the request for an answer; media that no route takes are replaced in both forms."""
    request, conversation = prepared.request, prepared.conversation
    only_api = API if conversation.tools.forced and request.generate else None
    call = _call(prepared, context)
    planned = _turn_request(prepared, call, conversation.media, only_api)
    lost = _lost_media(conversation.media, call, planned.call)
    native = native_request(request, conversation, planned.call.messages, context.groups, lost)
    return replace(planned, call=replace(planned.call, native=native))


def _lost_media(media: MediaNeeds, call: ModelCall, planned: ModelCall) -> frozenset[str]:
    if planned.messages is call.messages:
        return frozenset()
    return media.kinds.difference(*(kinds_in(message.content) for message in planned.messages))


def _turn_request(
    prepared: PreparedRequest,
    call: ModelCall,
    media: MediaNeeds = _NO_MEDIA,
    only_api: str | None = None,
) -> TurnRequest:
    request = prepared.request
    asked = ModelRequest(
        model=request.model,
        call=call,
        dialect_options={"echo": _echo(prepared)},
        stream=request.stream,
        strict=request.strict,
        keep_text=request.store,
        media=media,
        only_api=only_api,
        api_tools=prepared.conversation.tools.unexpressed,
    )
    turn_request = prepared.plan.turn(asked, NAME, prepared.caller.principal)
    if request.generate:
        return turn_request
    return replace(turn_request, routes=(_silent(turn_request),))


def _silent(turn_request: TurnRequest) -> PlannedRoute:
    provider = SilentProvider()
    timeouts = turn_request.routes[0].timeouts
    return PlannedRoute(Route(provider.name, turn_request.model), timeouts, provider=provider)


def _call(prepared: PreparedRequest, context: ModelContext) -> ModelCall:
    request, conversation = prepared.request, prepared.conversation
    parameters = chat_parameters(request, conversation)
    own = sorted(parameters.keys() - CHAT_PARAMETERS)
    # Formats that cannot send reasoning of earlier answers warn about it by its name.
    own += [THINKING] if context.has_reasoning else []
    return ModelCall(
        messages=context.messages,
        parameters=parameters,
        client_tools=conversation.tools.client_tools,
        foreign=dict.fromkeys(own, ()),
        client=API,
    )


def _echo(prepared: PreparedRequest) -> dict[str, JSON]:
    """Return the fields of the response object that repeat the request and its history."""
    past = prepared.request.past
    return prepared.request.echo | {
        "instructions": prepared.conversation.instructions,
        "previous_response_id": past.previous,
        "conversation": None if past.conversation is None else {"id": past.conversation},
    }
