"""From a call to its script: the pure heart of the simulated provider."""

from msgspec import Struct

from actors.outcome import Usage
from actors.providers.base import ModelCall
from actors.providers.simulated.answer import Answer, answer
from actors.providers.simulated.behaviour import OPENING_FAULTS, Behaviour, Fault, FaultKind
from actors.providers.simulated.grammar import BadModelName
from actors.providers.simulated.limits import BadParameter
from actors.providers.simulated.messages import count_input_tokens, ends_with
from actors.providers.simulated.rejections import (
    Rejection,
    bad_parameter,
    no_prefill,
    rejection,
    unknown_model,
)
from actors.providers.simulated.scenario import Scenario
from actors.providers.simulated.steps import Script
from actors.providers.simulated.timeline import lay_out


class Past(Struct, frozen=True):
    """What came before a call, as far as faults depend on it."""

    asked: int = 0
    """Earlier requests of the same conversation."""
    age_s: float = 0.0
    """Since the first request to the same model."""


def script(call: ModelCall, scenario: Scenario | None = None, past: Past | None = None) -> Script:
    """What the model that `call` names does with it; the same every time."""
    try:
        behaviour = (scenario or Scenario()).behaviour(call.upstream_model)
    except BadModelName as problem:
        return Script(head_s=0.0, opening=unknown_model(str(problem)))
    fault = _active(behaviour.fault, past or Past())
    if (opening := _opening(call, behaviour, fault)) is not None:
        return Script(head_s=behaviour.head_s, opening=opening)
    try:
        given = answer(call, behaviour)
    except BadParameter as problem:
        return Script(head_s=behaviour.head_s, opening=bad_parameter(problem))
    return Script(
        head_s=behaviour.head_s,
        steps=lay_out(given, _usage(call, given), behaviour, fault),
        done=behaviour.done,
    )


def _active(fault: Fault | None, past: Past) -> Fault | None:
    if fault is None or (fault.times and past.asked >= fault.times):
        return None
    return None if fault.for_s and past.age_s >= fault.for_s else fault


def _opening(
    call: ModelCall, behaviour: Behaviour, fault: Fault | None
) -> Rejection | Fault | None:
    if fault is not None and fault.kind in OPENING_FAULTS:
        return rejection(fault) if fault.kind is FaultKind.ERROR else fault
    if not behaviour.prefill and ends_with(call.messages, "assistant"):
        return no_prefill()
    return None


def _usage(call: ModelCall, given: Answer) -> Usage:
    return Usage(
        input_tokens=count_input_tokens(call.messages),
        output_tokens=len(given.chunks),
        reasoning_tokens=given.reasoning_tokens,
    )
