"""What a model sees of a conversation, and what its client is told about the rest."""

from functools import partial

import trio
from msgspec import Struct

from actors.events import Warning
from actors.providers.base import ModelCall
from actors.providers.foreign import THINKING
from web.errors import invalid
from web.planning import Plan
from web.responses_prepare import Prepared
from web.responses_units import Message, Unit
from web.responses_window import Weighed, fitting
from web.service import Service

_RESPONSES = frozenset({"openai-responses", "responses-ws"})
"""Formats whose providers know all settings of `reasoning`."""
_WEIGHED_AT_ONCE = 50


class Shown(Struct, frozen=True):
    """The messages, and what is to be told about what is not among them."""

    messages: list[Message]
    notes: tuple[Warning, ...]

    @property
    def has_thoughts(self) -> bool:
        """Whether thinking of former answers is among them."""
        return any(THINKING in message for message in self.messages)


async def shown(service: Service, prepared: Prepared) -> Shown:
    """What goes on to the model; raises `ApiError` (400) where `strict` allows no less."""
    ask, conversation = prepared.ask, prepared.conversation
    notes = [*conversation.warnings, *_unsaid(service, prepared)]
    if ask.strict and notes:
        raise invalid(" ".join(note.message for note in notes), code="unsupported_by_route")
    units = await _truncated(service, prepared) if ask.truncate else conversation.units
    if dropped := len(conversation.units) - len(units):
        text = f"The {dropped} oldest parts of the conversation do not fit and were left out."
        notes.append(Warning("truncated", text))
    messages = [message for unit in units for message in unit.messages]
    return Shown([*_instructing(conversation.instructions), *messages], tuple(notes))


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


async def _truncated(service: Service, prepared: Prepared) -> list[Unit]:
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
    weighed: list[Weighed] = []
    for place, unit in enumerate(conversation.units):
        if place % _WEIGHED_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        call = ModelCall(upstream_model="", messages=unit.messages, parameters={})
        weighed.append(Weighed(unit, weigh(call)))
    return fitting(weighed, window - fixed - (longest if isinstance(longest, int) else 0))
