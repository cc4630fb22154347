"""Script builder: turns a call to a simulated model into a timed script, without I/O.

`History` counts the earlier calls of a conversation, on which some faults depend.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from actors.providers.simulated.answer import ScriptedAnswer, answer
from actors.providers.simulated.messages import ends_with
from actors.providers.simulated.options.behaviour import OPENING_FAULTS, Behaviour, Fault, FaultKind
from actors.providers.simulated.options.grammar import BadModelName, Scenario
from actors.providers.simulated.rejections import Rejected, rejection
from actors.providers.simulated.steps import Script, Step, TornFrame
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.messages import text_of
from actors.turn.model_call import ModelCall

_MALFORMED = SkippedChunk("malformed JSON in a simulated frame")
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
        unknown = Rejected("model", str(problem), status=404, code="model_not_found")
        return Script(head_s=0.0, opening=unknown.error)
    fault = _active(behaviour.fault, past or PriorCalls())
    if fault is not None and fault.kind in OPENING_FAULTS:
        opening = rejection(fault) if fault.kind is FaultKind.ERROR else fault
        return Script(head_s=behaviour.head_s, opening=opening)
    try:
        _check(call, behaviour)
        steps = tuple(_timeline(answer(call, behaviour), behaviour, fault))
    except Rejected as problem:
        return Script(head_s=behaviour.head_s, opening=problem.error)
    return Script(head_s=behaviour.head_s, steps=steps, done=behaviour.done)


def _active(fault: Fault | None, past: PriorCalls) -> Fault | None:
    if fault is None or (fault.times and past.requests >= fault.times):
        return None
    return None if fault.for_s and past.age_s >= fault.for_s else fault


def _check(call: ModelCall, behaviour: Behaviour) -> None:
    """Raise `Rejected` if the model doesn't accept the call."""
    if not behaviour.prefill and ends_with(call.messages, "assistant"):
        message = "This model does not support assistant message prefill: "
        raise Rejected("messages", f"{message}the conversation must end with a user message.")
    if call.parameters.get("n") not in (None, 1):
        raise Rejected("n", "n must be 1: a simulated model gives one answer.")


def _timeline(answer: ScriptedAnswer, behaviour: Behaviour, fault: Fault | None) -> Iterator[Step]:
    """Yield the timed steps of the answer.

    `fault` ends the steps if the answer is long enough to reach it; a torn frame does not end them.
    """
    at = fault.at if fault and fault.kind is not FaultKind.HANG else None
    chunks = _chunks(answer, behaviour, {at, behaviour.badjson})
    sent = 0
    for step in (*chunks, Step(0.0, FinishChunk(answer.finish))):
        if sent == behaviour.badjson:
            yield Step(0.0, _MALFORMED)
        changed = _faulty(step, fault, behaviour.delay_s) if fault and sent == at else step
        yield changed
        if changed.act is fault:
            return
        sent += step.tokens
    if behaviour.usage:
        yield Step(0.0, UsageChunk(answer.usage))
    if fault and fault.kind is FaultKind.HANG:
        yield Step(0.0, fault)


def _faulty(step: Step, fault: Fault, delay_s: float) -> Step:
    """Return the step with its frame torn, or the fault that replaces it."""
    if fault.kind is not FaultKind.TORN:
        # The fault is due when the next chunk was. The finish that follows the last token has no
        # delay, so a fault there is due one token delay later.
        return Step(step.after_s or delay_s, fault)
    if not isinstance(step.act, TextChunk):
        return step
    return msgspec.structs.replace(step, act=TornFrame(step.act))


def _chunks(answer: ScriptedAnswer, behaviour: Behaviour, marks: set[int | None]) -> Iterator[Step]:
    after_s = behaviour.first_s
    for group in _groups(answer.chunks, behaviour.chunk, marks):
        yield Step(after_s, _joined(group), len(group))
        after_s = behaviour.delay_s * len(group)


def _groups(
    chunks: Sequence[Chunk], size: int, marks: set[int | None]
) -> Iterator[Sequence[Chunk]]:
    """Yield runs of adjacent chunks of one kind, at most `size` long and never across a mark."""
    start = 0
    for end in range(1, len(chunks) + 1):
        full = end - start == size or end in marks or end == len(chunks)
        if full or not _can_join(chunks[end - 1], chunks[end]):
            yield chunks[start:end]
            start = end


def _can_join(one: Chunk, other: Chunk) -> bool:
    if isinstance(one, ToolCallChunk) and isinstance(other, ToolCallChunk):
        return one.index == other.index
    return type(one) is type(other)


def _joined(group: Sequence[Chunk]) -> Chunk:
    first = group[0]
    if len(group) == 1:
        return first
    field = "arguments" if isinstance(first, ToolCallChunk) else "text"
    joined = "".join(getattr(chunk, field) for chunk in group)
    return msgspec.structs.replace(first, **{field: joined})


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
