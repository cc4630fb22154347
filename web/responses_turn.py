"""The turn that a Responses request asks for, with the history that it goes on from."""

from collections.abc import Awaitable, Callable
from functools import partial

import trio
from msgspec import Struct

from actors.events import Warning
from actors.providers.base import JSON, ModelCall
from actors.turn import Turn, TurnRequest
from web.dialects.responses import NAME
from web.errors import invalid
from web.planning import Plan
from web.responses_conversation import Conversation, conversation_of
from web.responses_request import ResponsesAsk
from web.responses_state import Recalled, recall
from web.responses_units import Message, Unit
from web.responses_window import Weighed, fitting
from web.service import TENANT, Service

_RESPONSES = frozenset({"openai-responses", "responses-ws"})
"""Formats whose providers know all settings of `reasoning`."""
_THINKING = frozenset({"openai-chat", "ollama", "simulated"})
"""Formats that have a place for what a model thought before."""
_WEIGHED_AT_ONCE = 50
_MANY_ITEMS = 1_000
"""A history of more is put together in a thread, so that nobody else has to wait for it."""


class _Shown(Struct, frozen=True):
    """What the model sees of a conversation, and what is to be told about that."""

    messages: list[Message]
    notes: tuple[Warning, ...]


async def play_response(
    service: Service,
    ask: ResponsesAsk,
    threads: trio.CapacityLimiter,
    start: Callable[[TurnRequest], Awaitable[Turn]],
) -> Turn:
    """Have `start` begin the turn that is asked for; raises `ApiError`.

    No other turn of its conversation begins meanwhile. Large histories are put together in
    one of `threads`.
    """
    plan = service.planner.find(ask.model)
    with service.conversations.claim(TENANT, ask.past.conversation, service.registry):
        recalled = await recall(service, ask.past)
        conversation = await _put_together(ask, recalled, threads)
        shown = await _shown(service, plan, ask, conversation)
        return await start(_request(service, plan, ask, recalled, conversation, shown))


async def _put_together(
    ask: ResponsesAsk, recalled: Recalled, threads: trio.CapacityLimiter
) -> Conversation:
    work = partial(conversation_of, ask, recalled.chain)
    if len(recalled.chain.items) + len(ask.input) <= _MANY_ITEMS:
        return work()
    return await trio.to_thread.run_sync(work, limiter=threads)


async def _shown(
    service: Service, plan: Plan, ask: ResponsesAsk, conversation: Conversation
) -> _Shown:
    notes = [*conversation.warnings, *_unsaid(service, plan, ask, conversation)]
    if ask.strict and notes:
        raise invalid(" ".join(note.message for note in notes), code="unsupported_by_route")
    units = conversation.units
    if ask.truncate:
        units = await _truncated(service, plan, ask, units, conversation.instructions)
    if dropped := len(conversation.units) - len(units):
        text = f"The {dropped} oldest parts of the conversation do not fit and were left out."
        notes.append(Warning("truncated", text))
    messages = [message for unit in units for message in unit.messages]
    return _Shown([*_instructing(conversation.instructions), *messages], tuple(notes))


def _instructing(instructions: str | None) -> list[Message]:
    return [{"role": "system", "content": instructions}] if instructions else []


def _unsaid(
    service: Service, plan: Plan, ask: ResponsesAsk, conversation: Conversation
) -> list[Warning]:
    """What was asked for and goes on to none of the routes, or not to each of them."""
    formats = _formats(service, plan)
    told = [f"{name} is not available" for name in ask.unavailable]
    if ask.thinking and not formats <= _RESPONSES:
        names = ", ".join(f"reasoning.{name}" for name in ask.thinking)
        told.append(f"{names} go on only where all routes are of {' or '.join(sorted(_RESPONSES))}")
    if conversation.thoughts and (others := formats - _THINKING):
        count, where = conversation.thoughts, ", ".join(sorted(others))
        told.append(f"{count} reasoning items of the history have no place in {where}")
    return [Warning("parameter_ignored", f"Left out: {text}.") for text in told]


def _formats(service: Service, plan: Plan) -> set[str]:
    providers = service.config.providers
    return {providers[planned.route.provider].format for planned in plan.routes}


async def _truncated(
    service: Service, plan: Plan, ask: ResponsesAsk, units: list[Unit], instructions: str | None
) -> list[Unit]:
    """The units that fit into the window of the first route, if that is known."""
    first = plan.routes[0]
    window = first.capabilities.context_window
    if window is None:
        return units
    scales = partial(service.estimates.estimate_input, str(first.route))
    longest = ask.parameters.get("max_completion_tokens")
    fixed = scales(_call(_instructing(instructions), ask.parameters))
    room = window - fixed - (longest if isinstance(longest, int) else 0)
    weighed: list[Weighed] = []
    for place, unit in enumerate(units):
        if place % _WEIGHED_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        weighed.append(Weighed(unit, scales(_call(unit.messages, {}))))
    return fitting(weighed, room)


def _call(messages: list[Message], parameters: dict[str, JSON]) -> ModelCall:
    return ModelCall(upstream_model="", messages=messages, parameters=parameters)


def _request(
    service: Service,
    plan: Plan,
    ask: ResponsesAsk,
    recalled: Recalled,
    conversation: Conversation,
    shown: _Shown,
) -> TurnRequest:
    parameters = ask.parameters
    if ask.thinking and _formats(service, plan) <= _RESPONSES:
        parameters = {**parameters, "reasoning": ask.thinking}
    return TurnRequest(
        model=ask.model,
        routes=plan.routes,
        call=_call(shown.messages, parameters),
        dialect=NAME,
        dialect_options={"echo": _echo(ask, conversation)},
        total_s=plan.total_s,
        tenant_id=TENANT,
        mode=plan.mode,
        resume_window_s=plan.resume_window_s,
        keep_text=ask.keep,
        max_answer_bytes=service.config.turns.max_answer_bytes,
        price=plan.price,
        on_cut=plan.on_cut,
        continue_instruction=plan.continue_instruction,
        strict=ask.strict,
        replaceable=not ask.stream,
        previous_id=recalled.turn_id,
        conversation=ask.past.conversation,
        input_items=ask.kept if ask.keep else None,
        notes=shown.notes,
    )


def _echo(ask: ResponsesAsk, conversation: Conversation) -> dict[str, JSON]:
    """What the response object repeats of the request, and of what it goes on from."""
    name = ask.past.conversation
    return ask.echo | {
        "instructions": conversation.instructions,
        "previous_response_id": ask.past.previous,
        "conversation": None if name is None else {"id": name},
    }
