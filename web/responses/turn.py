"""The turns that Responses requests ask for."""

from collections.abc import Awaitable, Callable
from functools import partial

import trio
from msgspec.structs import replace

from actors.heavy import off_loop
from actors.providers.base import JSON, ModelCall
from actors.providers.foreign import THINKING
from actors.turn import Turn, TurnRequest
from web.dialects.responses import NAME
from web.responses.compact import summary_call
from web.responses.prepare import Prepared, prepare
from web.responses.request import ResponsesAsk
from web.responses.shown import Shown, knows_thinking, shown
from web.responses.state import NONE_UNSTORED, Unstored
from web.service import TENANT, Service

Start = Callable[[TurnRequest], Awaitable[Turn]]

_OF_USERS = ("user", "safety_identifier", "prompt_cache_key")


async def play_response(
    service: Service,
    ask: ResponsesAsk,
    threads: trio.CapacityLimiter,
    start: Start,
    unstored: Unstored = NONE_UNSTORED,
) -> Turn:
    """Have `start` begin the turn that is asked for; raises `ApiError`.

    No other turn of its conversation begins meanwhile. It may also go on from what is `unstored`.
    """
    with service.conversations.claim(TENANT, ask.past.conversation, service.registry):
        prepared = await prepare(service, ask, threads, unstored)
        seen = await shown(service, prepared, threads)
        return await start(_request(service, prepared, seen))


async def play_summary(
    service: Service, prepared: Prepared, threads: trio.CapacityLimiter, start: Start
) -> Turn:
    """Have `start` begin a turn that summarises a conversation, and of which nothing is kept."""
    ask = prepared.ask
    asking = partial(summary_call, prepared.conversation.units, ask.instructions)
    request = _request(service, prepared, Shown([], ()))
    call = ModelCall(
        upstream_model="",
        messages=await off_loop(prepared.large, threads, asking),
        parameters={name: ask.parameters[name] for name in _OF_USERS if name in ask.parameters},
    )
    return await start(
        replace(
            request,
            call=call,
            keep_text=False,
            input_items=None,
            previous_id=None,
            conversation=None,
            replaceable=True,
        )
    )


async def count_input(service: Service, prepared: Prepared, threads: trio.CapacityLimiter) -> int:
    """About how many tokens the first route will count; images are not among them."""
    seen = await shown(service, prepared, threads)
    call = ModelCall(upstream_model="", messages=seen.messages, parameters=prepared.ask.parameters)
    return service.estimates.estimate_input(str(prepared.plan.routes[0].route), call)


def _request(service: Service, prepared: Prepared, seen: Shown) -> TurnRequest:
    ask = prepared.ask
    turn = prepared.plan.turn(
        _call(service, prepared, seen),
        model=ask.model,
        dialect=NAME,
        dialect_options={"echo": _echo(prepared)},
        tenant_id=TENANT,
        stream=ask.stream,
        strict=ask.strict,
        keep_text=ask.keep,
    )
    return replace(
        turn,
        previous_id=prepared.recalled.turn_id,
        conversation=ask.past.conversation,
        input_items=ask.kept if ask.keep else None,
        notes=seen.notes,
    )


def _call(service: Service, prepared: Prepared, seen: Shown) -> ModelCall:
    ask, parameters = prepared.ask, prepared.ask.parameters
    if ask.thinking and knows_thinking(service, prepared.plan):
        parameters = {**parameters, "reasoning": ask.thinking}
    return ModelCall(
        upstream_model="",
        messages=seen.messages,
        parameters=parameters,
        # Named by the formats that have no place for it.
        foreign={THINKING: ()} if seen.has_thoughts else {},
    )


def _echo(prepared: Prepared) -> dict[str, JSON]:
    """What the response object repeats of the request, and of what it goes on from."""
    past = prepared.ask.past
    return prepared.ask.echo | {
        "instructions": prepared.conversation.instructions,
        "previous_response_id": past.previous,
        "conversation": None if past.conversation is None else {"id": past.conversation},
    }
