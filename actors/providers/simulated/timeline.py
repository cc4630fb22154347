"""Answer timing: turns an answer into timed steps and inserts the faults."""

from collections.abc import Iterator, Sequence

import msgspec

from actors.providers.simulated.answer import ScriptedAnswer
from actors.providers.simulated.options.behaviour import Behaviour, Fault, FaultKind
from actors.providers.simulated.steps import Step, TornFrame
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.outcome import Usage

_MALFORMED = SkippedChunk("malformed JSON in a simulated frame")


def lay_out(
    answer: ScriptedAnswer, usage: Usage, behaviour: Behaviour, fault: Fault | None
) -> tuple[Step, ...]:
    """Return the timed steps of the answer.

    `fault` ends the steps if the answer is long enough to reach it; a torn frame does not end them.
    """
    marks = {mark for mark in (behaviour.badjson, fault.at if fault else None) if mark}
    steps = [*_chunks(answer, behaviour, marks), Step(0.0, FinishChunk(answer.finish))]
    if behaviour.usage:
        steps.append(Step(0.0, UsageChunk(usage)))
    if behaviour.badjson is not None:
        steps = _with_malformed(steps, behaviour.badjson)
    return tuple(_with_fault(steps, fault, behaviour.delay_s) if fault else steps)


def _chunks(answer: ScriptedAnswer, behaviour: Behaviour, marks: set[int]) -> Iterator[Step]:
    after_s = behaviour.first_s
    for group in _groups(answer.chunks, behaviour.chunk, marks):
        yield Step(after_s, _joined(group), len(group))
        after_s = behaviour.delay_s * len(group)


def _groups(chunks: Sequence[Chunk], size: int, marks: set[int]) -> Iterator[Sequence[Chunk]]:
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
    if isinstance(first, ToolCallChunk):
        pieces = [chunk.arguments for chunk in group if isinstance(chunk, ToolCallChunk)]
        return msgspec.structs.replace(first, arguments="".join(pieces))
    pieces = [
        chunk.text
        for chunk in group
        if isinstance(chunk, TextChunk | ReasoningChunk | RefusalChunk)
    ]
    return msgspec.structs.replace(first, text="".join(pieces))


def _with_malformed(steps: list[Step], at: int) -> list[Step]:
    index = _index_after(steps, at)
    return steps if index is None else [*steps[:index], Step(0.0, _MALFORMED), *steps[index:]]


def _with_fault(steps: list[Step], fault: Fault, delay_s: float) -> list[Step]:
    if fault.kind is FaultKind.HANG:
        return [*steps, Step(0.0, fault)]
    index = _index_after(steps, fault.at)
    if index is None:
        return steps
    if fault.kind is FaultKind.TORN:
        return _torn(steps, index)
    # The fault is due when the next chunk was. The finish that follows the last token has no delay,
    # so a fault there is due one token delay later.
    return [*steps[:index], Step(steps[index].after_s or delay_s, fault)]


def _torn(steps: list[Step], index: int) -> list[Step]:
    step = steps[index]
    if not isinstance(step.act, TextChunk):
        return steps
    torn = msgspec.structs.replace(step, act=TornFrame(step.act))
    return [*steps[:index], torn, *steps[index + 1 :]]


def _index_after(steps: list[Step], tokens: int) -> int | None:
    """Return the index of the step after the first `tokens` tokens, or None if there are fewer."""
    sent = 0
    for index, step in enumerate(steps):
        if sent >= tokens and not isinstance(step.act, SkippedChunk):
            return index
        sent += step.tokens
    return None
