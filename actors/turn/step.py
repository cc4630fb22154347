"""Step: one model call of a turn, with its attempts, its timing and the usage to charge.

A turn without a tool loop has one step. Failed attempts whose text is not part of the client's
answer are recorded but not charged. The module does no I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import groupby

from msgspec.structs import replace

from actors.ports import Estimator
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    NativeItemChunk,
    ReasoningChunk,
    RefusalChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.model_call import ModelCall, Route, UpstreamFailure
from actors.turn.outcome import Price, Reason, Usage, cost_micros
from actors.turn.store_records import AttemptRecord, StepRecord

_NOT_FAILED = frozenset({"running", "answered", "cancelled", "crashed"})


@dataclass(slots=True, eq=False)
class AttemptUsage:
    """The result and token usage of one attempt."""

    route: Route
    started_at: float
    ended_at: float
    result: str = "running"
    """Final result: `answered`, `skipped`, `cancelled`, `crashed`, or the failure kind."""
    status: int | None = None
    note: str | None = None
    responded: bool = False
    """True once the provider has begun to answer, so the attempt may be charged."""
    kept: bool = False
    """True if the output is part of the client's answer."""
    output: list[str] = field(default_factory=list)
    """Text, refusals and arguments as they were generated, shown or not."""
    reasoning: list[str] = field(default_factory=list)
    deltas: int = 0
    withheld: int = 0
    """Characters of reasoning that were not shown."""
    dropped: int = 0
    """Characters of text that were removed because they had been shown already."""
    reported: Usage | None = None
    counted: int = 0
    """Number of deltas that had arrived when usage was reported."""
    continued: bool = False
    """True if the attempt continued an interrupted answer."""
    finish: FinishChunk | None = None
    """Last finish reason that has arrived."""
    finished_at: int | None = None
    """Number of deltas that had arrived with the first finish reason."""

    def add_chunk(self, chunk: Chunk) -> bool:
        """Record a chunk and return True if it is content."""
        if type(chunk) is TextChunk:
            self.output.append(chunk.text)
            self.deltas += 1
            return True
        return self._add_other(chunk)

    def _add_other(self, chunk: Chunk) -> bool:
        match chunk:
            case RefusalChunk(text) | ToolCallChunk(arguments=text):
                self.output.append(text)
            case ReasoningChunk(text):
                self.reasoning.append(text)
            case NativeItemChunk():
                pass  # content, but its tokens were not generated as text
            case UsageChunk(usage):
                self.reported, self.counted = usage, self.deltas
                return False
            case FinishChunk():
                self.finish = chunk
                if self.finished_at is None:
                    self.finished_at = self.deltas
                return False
            case _:
                return False
        self.deltas += 1
        return True

    @property
    def finished(self) -> bool:
        """True once a finish reason has arrived."""
        return self.finish is not None

    @property
    def complete(self) -> bool:
        """True if no content has followed a finish reason, which proves the answer complete."""
        return self.finished_at == self.deltas

    @property
    def generated(self) -> int:
        """Number of characters that the model generated, shown or not."""
        return sum(map(len, self.output)) + sum(map(len, self.reasoning))

    def end(self, now: float) -> None:
        """Record the end of the attempt, at `now` seconds since the epoch."""
        self.ended_at = now
        if self.result == "running":
            self.result = "cancelled"

    @property
    def tokens(self) -> int:
        """Approximate tokens used, for the provider's rate limits."""
        if self.reported is not None:
            return self.reported.input_tokens + self.reported.output_tokens
        return self.deltas

    @property
    def outcome(self) -> str:
        """Short text of the result for error messages."""
        if self.result == "skipped":
            return f"skipped ({self.note})"
        status = f" {self.status}" if self.status else ""
        return self.result.replace("_", " ") + status

    def fail(self, failure: UpstreamFailure) -> None:
        """Record the failure of the attempt."""
        self.result = failure.kind.value
        self.status = failure.status
        self.note = failure.message

    def usage(self, call: ModelCall, estimates: Estimator) -> Usage | None:
        """Return the reported or estimated usage, or None if the provider never answered."""
        if not self.responded:
            return None
        reported = self.reported
        if reported is not None and (self.complete or self.counted == self.deltas):
            return reported
        estimated = self._estimated(call, estimates)
        if reported is None:
            return estimated
        # Reported before the last delta, by a provider that counts during the stream.
        most = max(reported.output_tokens, estimated.output_tokens)
        return replace(reported, output_tokens=most, estimated=True)

    def _estimated(self, call: ModelCall, estimates: Estimator) -> Usage:
        model = str(self.route)
        text = "".join(self.reasoning) + "".join(self.output)
        return Usage(
            input_tokens=estimates.estimate_input(model, call),
            output_tokens=estimates.estimate(model, text, self.deltas),
            estimated=True,
        )

    def teach(self, call: ModelCall, estimates: Estimator) -> None:
        """Let the estimator learn from a complete answer with a reported token count."""
        reported = self.reported
        if reported is None:
            return
        model = str(self.route)
        # The prompt of a continuation is not `call`: it also has the text shown so far.
        if not self.continued:
            estimates.learn_input(model, call, reported.input_tokens)
        text = "".join(self.output)
        tokens = reported.output_tokens - reported.reasoning_tokens
        if not reported.reasoning_tokens:
            text = "".join(self.reasoning) + text
        elif self.reasoning:
            return  # `deltas` does not separate reasoning from text
        estimates.learn(model, text, self.deltas, tokens)

    def record(self, step: int, number: int, usage: Usage | None, price: Price) -> AttemptRecord:
        """Return the stored record of the attempt, with its usage if that is known."""
        return AttemptRecord(
            step=step,
            number=number,
            provider=self.route.provider,
            upstream_model=self.route.upstream_model,
            started_at=self.started_at,
            ended_at=self.ended_at,
            result=self.result,
            status_code=self.status,
            message=self.note,
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            cost_micros=cost_micros(usage, price) if usage else None,
        )


@dataclass(slots=True, eq=False)
class Step:
    """A model call of a turn and its attempts, in order. `number` counts the steps from 1."""

    number: int
    call: ModelCall
    attempts: list[AttemptUsage] = field(default_factory=list)
    input_estimate: int = 0
    """Estimated input tokens of the call."""
    finish: Reason | None = None
    """Finish reason, once the persister has consumed it."""
    stop_sequence: str | None = None
    """Stop sequence that ended the answer, if the provider named it."""
    withheld: int = 0
    """Characters of the answer that guards withheld, which are not charged."""

    def begin(self, route: Route, now: float) -> AttemptUsage:
        """Add a new attempt, started at `now`, and return it."""
        attempt = AttemptUsage(route, now, now)
        self.attempts.append(attempt)
        return attempt

    def skip(self, route: Route, reason: str, now: float) -> None:
        """Record a route that was skipped, with the reason."""
        attempt = self.begin(route, now)
        attempt.result, attempt.note = "skipped", reason

    def skipped(self) -> list[AttemptUsage]:
        """Return the entries of skipped routes."""
        return [attempt for attempt in self.attempts if attempt.result == "skipped"]

    def discard(self) -> None:
        """Mark the output of all attempts so far as discarded, for a restart of the answer."""
        for attempt in self.attempts:
            attempt.kept = False

    def reject(self, note: str) -> None:
        """Record that a guard discarded the answer, for which the model is asked again."""
        self.discard()
        if self.attempts:
            self.attempts[-1].result, self.attempts[-1].note = "rejected", note

    def current_records(self, price: Price) -> tuple[AttemptRecord, ...]:
        """Return the records of a live turn's attempts, without estimates."""
        attempts = enumerate(self.attempts, 1)
        return tuple(t.record(self.number, n, t.reported, price) for n, t in attempts)

    def record(self, estimates: Estimator, price: Price) -> StepRecord:
        """Return the stored record of a step with attempts; usage not reported is estimated."""
        attempts = enumerate(self.attempts, 1)
        return StepRecord(
            number=self.number,
            started_at=self.attempts[0].started_at,
            ended_at=self.attempts[-1].ended_at,
            finish=self.finish.value if self.finish else None,
            attempts=tuple(
                one.record(self.number, n, one.usage(self.call, estimates), price)
                for n, one in attempts
            ),
        )

    def charged(self, estimates: Estimator) -> Usage | None:
        """Return the usage to charge: the input once, and the output that the client received.

        None if no provider began to answer, or if all that did failed before any content.
        """
        kept = self._chargeable()
        usages = [
            usage for attempt in kept if (usage := attempt.usage(self.call, estimates)) is not None
        ]
        if len(usages) < 2:
            return self._without_withheld(usages[0], kept) if usages else None
        shown = [_shown(attempt, usage) for attempt, usage in zip(kept, usages, strict=True)]
        total = replace(
            usages[0],
            output_tokens=sum(shown),
            reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
            estimated=True,
        )
        return self._without_withheld(total, kept)

    def _without_withheld(self, usage: Usage, kept: list[AttemptUsage]) -> Usage:
        """Return the usage without what guards withheld, in proportion to its characters."""
        generated = sum(attempt.generated for attempt in kept)
        if not self.withheld or not generated:
            return usage
        share = max(0.0, 1 - self.withheld / generated)
        return replace(usage, output_tokens=round(usage.output_tokens * share), estimated=True)

    def _chargeable(self) -> list[AttemptUsage]:
        """Return the attempts whose output was kept, or else those that did not fail."""
        answering = [attempt for attempt in self.attempts if attempt.responded]
        kept = [attempt for attempt in answering if attempt.kept]
        return kept or [attempt for attempt in answering if attempt.result in _NOT_FAILED]


def tried(steps: Sequence[Step]) -> list[str]:
    """Return a short text for each attempt's result; equal neighbours are merged."""
    outcomes = [f"{one.route}: {one.outcome}" for step in steps for one in step.attempts]
    runs = [(one, len(list(same))) for one, same in groupby(outcomes)]
    return [one if times == 1 else f"{one}, {times} times" for one, times in runs]


def charged(steps: Sequence[Step], estimates: Estimator) -> Usage | None:
    """Return the usage to charge for all steps, or None if none is charged."""
    usages = [usage for step in steps if (usage := step.charged(estimates)) is not None]
    return reduce(_sum, usages) if usages else None


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cached_input_tokens=one.cached_input_tokens + other.cached_input_tokens,
        cache_write_tokens=one.cache_write_tokens + other.cache_write_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        estimated=one.estimated or other.estimated,
    )


def _shown(attempt: AttemptUsage, usage: Usage) -> int:
    """Return the tokens of the shown output, in proportion to its characters."""
    generated = attempt.generated
    withheld = min(attempt.withheld + attempt.dropped, generated)
    if not withheld:
        return usage.output_tokens
    return round(usage.output_tokens * (1 - withheld / generated))
