"""Laying an answer out in time, with the faults in their places."""

from collections.abc import Iterator, Sequence

import msgspec

from actors.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.outcome import Usage
from actors.providers.simulated.answer import Answer
from actors.providers.simulated.behaviour import Behaviour, Fault, FaultKind
from actors.providers.simulated.steps import Step, Torn

_MALFORMED = SkippedChunk("malformed JSON in a simulated frame")


def lay_out(
    answer: Answer, usage: Usage, behaviour: Behaviour, fault: Fault | None
) -> tuple[Step, ...]:
    """The steps of the answer; `fault`, if it is reached, ends them (a torn frame does not)."""
    marks = {mark for mark in (behaviour.badjson, fault.at if fault else None) if mark}
    steps = [*_chunks(answer, behaviour, marks), Step(0.0, FinishChunk(answer.finish))]
    if behaviour.usage:
        steps.append(Step(0.0, UsageChunk(usage)))
    if behaviour.badjson is not None:
        steps = _with_malformed(steps, behaviour.badjson)
    return tuple(_with_fault(steps, fault, behaviour.delay_s) if fault else steps)


def _chunks(answer: Answer, behaviour: Behaviour, marks: set[int]) -> Iterator[Step]:
    after_s = behaviour.first_s
    for group in _groups(answer.chunks, behaviour.chunk, marks):
        yield Step(after_s, _joined(group), len(group))
        after_s = behaviour.delay_s * len(group)


def _groups(chunks: Sequence[Chunk], size: int, marks: set[int]) -> Iterator[Sequence[Chunk]]:
    """Neighbours of one kind, at most `size` together and none across a mark."""
    start = 0
    for end in range(1, len(chunks) + 1):
        full = end - start == size or end in marks or end == len(chunks)
        if full or not _alike(chunks[end - 1], chunks[end]):
            yield chunks[start:end]
            start = end


def _alike(one: Chunk, other: Chunk) -> bool:
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
    place = _place(steps, at)
    return steps if place is None else [*steps[:place], Step(0.0, _MALFORMED), *steps[place:]]


def _with_fault(steps: list[Step], fault: Fault, delay_s: float) -> list[Step]:
    if fault.kind is FaultKind.HANG:
        return [*steps, Step(0.0, fault)]
    place = _place(steps, fault.at)
    if place is None:
        return steps
    if fault.kind is FaultKind.TORN:
        return _torn(steps, place)
    # The fault comes when the next chunk would have; after the last token, a token's time later.
    return [*steps[:place], Step(steps[place].after_s or delay_s, fault)]


def _torn(steps: list[Step], place: int) -> list[Step]:
    step = steps[place]
    if not isinstance(step.act, TextChunk):
        return steps
    return [*steps[:place], msgspec.structs.replace(step, act=Torn(step.act)), *steps[place + 1 :]]


def _place(steps: list[Step], tokens: int) -> int | None:
    """The index of the step after the first `tokens` tokens; None if there are fewer."""
    sent = 0
    for index, step in enumerate(steps):
        if sent >= tokens and not isinstance(step.act, SkippedChunk):
            return index
        sent += step.tokens
    return None
