"""What every attempt of a turn said and took, and what of it the client is charged. Pure.

Failed attempts whose text the client was not left with are kept apart: they are on record, and
not on the bill.
"""

from itertools import groupby
from typing import Protocol

import msgspec

from actors.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.outcome import Usage
from actors.ports import AttemptRecord
from actors.providers.base import ModelCall, Route, UpstreamFailure


class Estimates(Protocol):
    """Token counts where no provider gave them (`actors.estimating.estimator`)."""

    def estimate(self, model: str, text: str, deltas: int) -> int:
        """About how many tokens `text` is, which came in so many deltas."""

    def estimate_input(self, model: str, call: ModelCall) -> int:
        """About how many tokens the call's messages are."""

    def learn(self, model: str, text: str, deltas: int, tokens: int) -> None:
        """The provider counted so many tokens of an answer."""

    def learn_input(self, model: str, call: ModelCall, tokens: int) -> None:
        """The provider counted so many tokens of a prompt."""


_NOT_FAILED = frozenset({"running", "answered", "cancelled", "crashed"})


class Tally:
    """One attempt: what came of it, and all that is known of its tokens."""

    __slots__ = (
        "asked",
        "continued",
        "counted",
        "deltas",
        "dropped",
        "ended_at",
        "finished",
        "kept",
        "note",
        "reported",
        "result",
        "route",
        "said",
        "started_at",
        "status",
        "thought",
        "withheld",
    )

    def __init__(self, route: Route, started_at: float) -> None:
        self.route = route
        self.started_at = started_at
        self.ended_at = started_at
        self.result = "running"
        """Then `answered`, `skipped`, `cancelled`, `crashed`, or the kind of failure."""
        self.status: int | None = None
        self.note: str | None = None
        self.asked = False
        """The provider has begun to answer, so that there is something to charge."""
        self.kept = False
        """What it said is in the client's answer."""
        self.said: list[str] = []
        """Text, refusals and arguments as they were generated, shown or not."""
        self.thought: list[str] = []
        self.deltas = 0
        self.withheld = 0
        """Characters of thought that were not shown, …"""
        self.dropped = 0
        """… and of text, because they had been already."""
        self.reported: Usage | None = None
        self.counted = 0
        """The deltas that had come when it was reported."""
        self.continued = False
        """It was asked to go on with an answer."""
        self.finished = False
        """A finish reason has come."""

    def hear(self, chunk: Chunk) -> bool:
        """Tally a chunk; says whether it is content."""
        if type(chunk) is TextChunk:
            self.said.append(chunk.text)
            self.deltas += 1
            return True
        return self._hear_rarer(chunk)

    def _hear_rarer(self, chunk: Chunk) -> bool:
        match chunk:
            case RefusalChunk(text) | ToolCallChunk(arguments=text):
                self.said.append(text)
            case ReasoningChunk(text):
                self.thought.append(text)
            case UsageChunk(usage):
                self.reported, self.counted = usage, self.deltas
                return False
            case _:
                self.finished = self.finished or isinstance(chunk, FinishChunk)
                return False
        self.deltas += 1
        return True

    def end(self, now: float) -> None:
        """It is over, at `now` seconds since the epoch."""
        self.ended_at = now
        if self.result == "running":
            self.result = "cancelled"

    @property
    def tokens(self) -> int:
        """About how many tokens it moved, for the provider's limits."""
        if self.reported is not None:
            return self.reported.input_tokens + self.reported.output_tokens
        return self.deltas

    @property
    def outcome(self) -> str:
        """Its result in a few words."""
        if self.result == "skipped":
            return f"skipped ({self.note})"
        status = f" {self.status}" if self.status else ""
        return self.result.replace("_", " ") + status

    def fail(self, failure: UpstreamFailure) -> None:
        """It failed like this."""
        self.result = failure.kind.value
        self.status = failure.status
        self.note = failure.message

    def usage(self, call: ModelCall, estimates: Estimates) -> Usage | None:
        """What the provider will have counted; None where it never began to answer."""
        if not self.asked:
            return None
        reported = self.reported
        if reported is not None and (self.finished or self.counted == self.deltas):
            return reported
        estimated = self._estimated(call, estimates)
        if reported is None:
            return estimated
        # It was said before all had come, by a provider that counts as it goes on.
        most = max(reported.output_tokens, estimated.output_tokens)
        return msgspec.structs.replace(reported, output_tokens=most, estimated=True)

    def _estimated(self, call: ModelCall, estimates: Estimates) -> Usage:
        model = str(self.route)
        text = "".join(self.thought) + "".join(self.said)
        return Usage(
            input_tokens=estimates.estimate_input(model, call),
            output_tokens=estimates.estimate(model, text, self.deltas),
            estimated=True,
        )

    def teach(self, call: ModelCall, estimates: Estimates) -> None:
        """Let the estimator learn from an answer that is whole and has the provider's count."""
        reported = self.reported
        if reported is None:
            return
        model = str(self.route)
        if not self.continued:
            estimates.learn_input(model, call, reported.input_tokens)
        text = "".join(self.said)
        tokens = reported.output_tokens - reported.reasoning_tokens
        if not reported.reasoning_tokens:
            text = "".join(self.thought) + text
        elif self.thought:
            return  # its deltas cannot be told apart
        estimates.learn(model, text, self.deltas, tokens)

    def record(self, number: int, usage: Usage | None) -> AttemptRecord:
        """The attempt as it is stored, with what it took as far as that is known."""
        return AttemptRecord(
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
        )


class Ledger:
    """All attempts of one step, in order."""

    __slots__ = ("tallies",)

    def __init__(self) -> None:
        self.tallies: list[Tally] = []

    def begin(self, route: Route, now: float) -> Tally:
        """An attempt begins."""
        tally = Tally(route, now)
        self.tallies.append(tally)
        return tally

    def skip(self, route: Route, reason: str, now: float) -> None:
        """A route was not asked."""
        tally = self.begin(route, now)
        tally.result, tally.note = "skipped", reason

    def skipped(self) -> list[Tally]:
        """The routes that were not asked."""
        return [tally for tally in self.tallies if tally.result == "skipped"]

    def tried(self) -> list[str]:
        """What became of the attempts, in a few words that an error can carry."""
        told = [f"{tally.route}: {tally.outcome}" for tally in self.tallies]
        runs = [(one, len(list(same))) for one, same in groupby(told)]
        return [one if times == 1 else f"{one}, {times} times" for one, times in runs]

    def discard(self) -> None:
        """The answer begins anew: nothing that was said so far is in it."""
        for tally in self.tallies:
            tally.kept = False

    def so_far(self) -> tuple[AttemptRecord, ...]:
        """The attempts of a turn that goes on."""
        return tuple(t.record(n, t.reported) for n, t in enumerate(self.tallies, 1))

    def records(self, call: ModelCall, estimates: Estimates) -> tuple[AttemptRecord, ...]:
        """The attempts as they are stored; what no provider reported is estimated."""
        return tuple(t.record(n, t.usage(call, estimates)) for n, t in enumerate(self.tallies, 1))

    def charged(self, call: ModelCall, estimates: Estimates) -> Usage | None:
        """What the client is charged: the input once, and the output that it was left with.

        None where no provider began to answer, or where all that did failed before any content.
        """
        kept = self._on_the_bill()
        usages = [usage for tally in kept if (usage := tally.usage(call, estimates)) is not None]
        if len(usages) < 2:
            return usages[0] if usages else None
        shown = [_shown(tally, usage) for tally, usage in zip(kept, usages, strict=True)]
        return msgspec.structs.replace(
            usages[0],
            output_tokens=sum(shown),
            reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
            estimated=True,
        )

    def _on_the_bill(self) -> list[Tally]:
        """The attempts that the client has something of; if there is none, the one in play."""
        asked = [tally for tally in self.tallies if tally.asked]
        kept = [tally for tally in asked if tally.kept]
        return kept or [tally for tally in asked if tally.result in _NOT_FAILED]


def _shown(tally: Tally, usage: Usage) -> int:
    """The tokens of what was shown, in proportion to its characters."""
    generated = sum(map(len, tally.said)) + sum(map(len, tally.thought))
    withheld = min(tally.withheld + tally.dropped, generated)
    if not withheld:
        return usage.output_tokens
    return round(usage.output_tokens * (1 - withheld / generated))
