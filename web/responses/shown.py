"""What a model sees of a conversation, and what its client is told about the rest."""

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

import trio
from msgspec import Struct

from actors.events import Warning
from actors.heavy import off_loop
from actors.providers.base import ModelCall
from actors.providers.foreign import THINKING
from web.errors import invalid
from web.planning import Plan
from web.responses.prepare import Prepared
from web.responses.units import Message, Unit
from web.responses.window import Weighed, fitting
from web.service import Service

_RESPONSES = frozenset({"openai-responses", "responses-ws"})
"""Formats whose providers know all settings of `reasoning`."""
_AT_ONCE_S = 0.002
"""Seconds of weighing before others get their turn: a unit takes 10 µs, but a large one 2 ms."""


class Shown(Struct, frozen=True):
    """The messages, and what is to be told about what is not among them."""

    messages: list[Message]
    notes: tuple[Warning, ...]
    has_thoughts: bool = False
    """Thinking of former answers is among the messages."""


async def shown(service: Service, prepared: Prepared, threads: trio.CapacityLimiter) -> Shown:
    """What goes on to the model; raises `ApiError` (400) where `strict` allows no less.

    What is large is worked on in one of `threads`.
    """
    ask, conversation = prepared.ask, prepared.conversation
    notes = [*conversation.warnings, *_unsaid(service, prepared)]
    if ask.strict and notes:
        raise invalid(" ".join(note.message for note in notes), code="unsupported_by_route")
    units = conversation.units
    if ask.truncate:
        units = await _truncated(service, prepared, threads)
    if dropped := len(conversation.units) - len(units):
        text = f"The {dropped} oldest parts of the conversation do not fit and were left out."
        notes.append(Warning("truncated", text))
    standing = _instructing(conversation.instructions)
    return await off_loop(prepared.large, threads, lambda: _shown(standing, units, tuple(notes)))


def _shown(standing: Sequence[Message], units: Sequence[Unit], notes: tuple[Warning, ...]) -> Shown:
    messages = [message for unit in units for message in unit.messages]
    has_thoughts = any(THINKING in message for message in messages)
    return Shown([*standing, *messages], notes, has_thoughts)


def knows_thinking(service: Service, plan: Plan) -> bool:
    """Whether all routes take every setting of `reasoning`."""
    providers = service.config.providers
    return all(providers[one.route.provider].format in _RESPONSES for one in plan.routes)


def _instructing(instructions: str | None) -> list[Message]:
    return [{"role": "system", "content": instructions}] if instructions else []


def _unsaid(service: Service, prepared: Prepared) -> list[Warning]:
    """What was asked for and no route has, or not each of them; all else they name themselves."""
    ask = prepared.ask
    told = [f"{name} is not available" for name in ask.unavailable]
    if ask.thinking and not knows_thinking(service, prepared.plan):
        names = ", ".join(f"reasoning.{name}" for name in ask.thinking)
        told.append(f"{names}, which goes on only where all routes are of OpenAI's Responses")
    return [Warning("parameter_ignored", f"Left out: {text}.") for text in told]


async def _truncated(
    service: Service, prepared: Prepared, threads: trio.CapacityLimiter
) -> list[Unit]:
    """The units that fit into the window of the first route, if that is known."""
    ask, conversation = prepared.ask, prepared.conversation
    first = prepared.plan.routes[0]
    window = first.capabilities.context_window
    if window is None:
        return conversation.units
    weigh = partial(service.estimates.estimate_input, str(first.route))
    longest = ask.parameters.get("max_completion_tokens")
    standing = _instructing(conversation.instructions)
    fixed = weigh(ModelCall(upstream_model="", messages=standing, parameters=ask.parameters))
    room = window - fixed - (longest if isinstance(longest, int) else 0)
    weighed = await weigh_all(conversation.units, weigh)
    return await off_loop(prepared.large, threads, lambda: fitting(weighed, room))


async def weigh_all(units: Sequence[Unit], weigh: Callable[[ModelCall], int]) -> list[Weighed]:
    """The units with their tokens, as `weigh` counts them, which others need not wait for.

    Not for a thread: what estimates have learnt is the event loop's alone.
    """
    weighed: list[Weighed] = []
    since = perf_counter()
    for unit in units:
        if perf_counter() - since > _AT_ONCE_S:
            await trio.lowlevel.checkpoint()
            since = perf_counter()
        call = ModelCall(upstream_model="", messages=unit.messages, parameters={})
        weighed.append(Weighed(unit, weigh(call)))
    return weighed
