"""Script builder: turns a call to a simulated model into a timed script, without I/O.

`History` counts the earlier calls of a conversation, on which some faults depend.
"""

from collections import OrderedDict

import msgspec
from msgspec import Struct

from actors.providers.simulated.answer import ScriptedAnswer, answer
from actors.providers.simulated.messages import count_input_tokens, ends_with
from actors.providers.simulated.options.behaviour import OPENING_FAULTS, Behaviour, Fault, FaultKind
from actors.providers.simulated.options.grammar import BadModelName
from actors.providers.simulated.options.scenario import Scenario
from actors.providers.simulated.rejections import (
    BadParameter,
    Rejection,
    bad_parameter,
    no_prefill,
    rejection,
    unknown_model,
)
from actors.providers.simulated.steps import Script
from actors.providers.simulated.timeline import lay_out
from actors.turn.messages import text_of
from actors.turn.model_call import ModelCall
from actors.turn.outcome import Usage

_KEPT = 10_000
"""Maximum number of conversations and of models remembered; the oldest are dropped first."""
_KEY_LENGTH = 200
"""Characters of the question and of `user` that identify a conversation."""


class PriorCalls(Struct, frozen=True):
    """Earlier calls that decide whether a fault applies to this one."""

    requests: int = 0
    """Number of earlier requests of the same conversation."""
    age_s: float = 0.0
    """Seconds since the first request to the same model."""


def script(
    call: ModelCall, scenario: Scenario | None = None, past: PriorCalls | None = None
) -> Script:
    """Return the script that the model named by `call` follows.

    The same arguments always give the same script. A bad model name or parameter gives a script
    that opens with a rejection.
    """
    try:
        behaviour = (scenario or Scenario()).behaviour(call.upstream_model)
    except BadModelName as problem:
        return Script(head_s=0.0, opening=unknown_model(str(problem)))
    fault = _active(behaviour.fault, past or PriorCalls())
    if (opening := _opening(call, behaviour, fault)) is not None:
        return Script(head_s=behaviour.head_s, opening=opening)
    try:
        built = answer(call, behaviour)
    except BadParameter as problem:
        return Script(head_s=behaviour.head_s, opening=bad_parameter(problem))
    return Script(
        head_s=behaviour.head_s,
        steps=lay_out(built, _usage(call, built), behaviour, fault),
        done=behaviour.done,
    )


def _active(fault: Fault | None, past: PriorCalls) -> Fault | None:
    if fault is None or (fault.times and past.requests >= fault.times):
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


def _usage(call: ModelCall, built: ScriptedAnswer) -> Usage:
    return Usage(
        input_tokens=count_input_tokens(call.messages),
        output_tokens=len(built.chunks),
        reasoning_tokens=built.reasoning_tokens,
    )


class History:
    """Request counts per conversation and the first request time per model.

    A conversation is identified by the model, `user` and the first user message, so that a retry,
    a continuation and the next turn of a chat belong to the same one.
    """

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, object, str], int] = OrderedDict()
        self._since: OrderedDict[str, float] = OrderedDict()

    def note(self, call: ModelCall, now_s: float) -> PriorCalls:
        """Record a call and return the calls before it."""
        key = (call.upstream_model, _user(call), _first_question(call))
        count = self._counts.pop(key, 0)
        self._counts[key] = count + 1
        since = self._since.setdefault(call.upstream_model, now_s)
        for kept in (self._counts, self._since):
            if len(kept) > _KEPT:
                kept.popitem(last=False)
        return PriorCalls(count, now_s - since)


def _user(call: ModelCall) -> str:
    return msgspec.json.encode(call.parameters.get("user")).decode()[:_KEY_LENGTH]


def _first_question(call: ModelCall) -> str:
    questions = (text_of(message) for message in call.messages if message.role == "user")
    return next(questions, "")[:_KEY_LENGTH]
