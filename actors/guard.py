"""Guard: checks the answer before it reaches the journal.

The third actor of a turn, between the accumulator and the persister. `actors/guards/gate/` decides,
and this module adds time, threads and the turn's records. A turn without guards does not start it,
because a channel more is a tenth of the cost of a token.
"""

import math
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import trio
from msgspec.structs import replace

from actors.accumulator import Draft
from actors.guards.boundaries import wrap
from actors.guards.context import asked_again, context_of
from actors.guards.gate.chain import AnyCheck, Examination, TurnChecks, examine, make_checks
from actors.guards.gate.gate import Gate
from actors.guards.rewriting import with_system
from actors.guards.spec import GuardSpec, Scores
from actors.ports import EventBus
from actors.runtime.batch_channel import Receiver, Sender
from actors.runtime.offload import THREADS, is_large, off_loop
from actors.turn.events import Reasoning, Refusal, Text
from actors.turn.lifecycle_events import GuardDecided, GuardFailed
from actors.turn.model_call import ModelCall
from actors.turn.outcome import Finding, GuardVerdict, Reason, Stage
from actors.turn.state import Clock, Turn

LONG = 4 * 1024
"""Characters of text from which on it is checked in a thread: hostile ones take 10 µs each."""

PART = 16 * 1024
"""Characters that are checked in one call of a thread.

Searches release the GIL and take it back at once, so often that the event loop hardly gets it
before the call ends.
"""

_Verdict = tuple[GuardSpec | None, Stage, Finding, int, str]
"""Arguments of `actors.guards.gate.flow.Report`."""


def _no_scores(text: str) -> Scores:
    return {}


@dataclass(frozen=True, slots=True)
class Guards:
    """The guards that turns can have; one instance serves all turns."""

    specs: Mapping[str, GuardSpec] = field(default_factory=dict)
    """Guards by name."""
    scores_of: Callable[[str], Scores] = _no_scores
    """Computes the semantic scores of a text."""
    embedded_scores: Callable[[str], Awaitable[Scores | None]] | None = None
    """Computes them by the embeddings of a provider; None if that fails."""
    boundary_secret: bytes = b""
    """Secret of the marks around system prompts."""
    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(THREADS))


class Guard:
    """The guards of one turn, and the gate of its current model call."""

    __slots__ = (
        *("_bus", "_call", "_checks", "_failed", "_failures", "_gate", "_guards", "_now"),
        *("_retries", "_turn", "_verdicts", "is_interrupted"),
    )

    def __init__(self, turn: Turn, guards: Guards, bus: EventBus, now: Clock) -> None:
        self._turn = turn
        self._guards = guards
        self._bus = bus
        self._now = now
        self._failed: set[str] = set()
        self._verdicts: deque[_Verdict] = deque()
        """Verdicts that are not published yet."""
        self._failures: deque[tuple[GuardSpec, Exception]] = deque()
        self._retries = turn.request.guards.retries
        self._checks = TurnChecks()
        self._call = turn.request.call
        self._gate: Gate | None = None
        self.is_interrupted = False
        """True if drafts were lost on their way to the gate, so that no others may follow."""

    @property
    def buffer_max_s(self) -> float:
        """Longest time for which `buffer_first` holds text, in seconds."""
        return self._turn.request.guards.buffer_max_s

    @property
    def gate(self) -> Gate:
        """The gate of the current model call."""
        assert self._gate is not None  # noqa: S101
        return self._gate

    async def prepare(self) -> ModelCall:
        """Make the checks of the turn, in a thread if it has long messages; return its model call.

        The call has marks around its system prompt if the turn wants them.
        """
        call = self._turn.request.call
        large = is_large(call.messages, call.native)
        self._checks, self._call = await off_loop(
            large, self._guards.threads, lambda: (self._make_checks(), self._marked(call))
        )
        self.publish_verdicts()
        return self._call

    def _make_checks(self) -> TurnChecks:
        request = self._turn.request
        secret = self._guards.boundary_secret
        context = context_of(request.model, request.call, request.guards, secret)
        return make_checks(request.guards.guards, self._guards.specs, context, self._add_failure)

    def _marked(self, call: ModelCall) -> ModelCall:
        secret = self._guards.boundary_secret
        if not self._turn.request.guards.boundaries or not secret:
            return call
        return with_system(call, partial(wrap, secret))

    def begin_call(self) -> Gate:
        """Begin the next model call and return its gate."""
        plan = replace(self._turn.request.guards, retries=self._retries)
        scores_of = self._guards.scores_of
        self._gate = Gate(plan, self._checks, scores_of, self._add_verdict, self._add_failure)
        return self._gate

    def next_call(self) -> ModelCall | None:
        """End the model call; return the next one if a guard discarded its answer."""
        stop = self.gate.stop
        self.end_call()
        if stop is None:
            return None
        if stop.directive is None:
            self._turn.set_cause(stop.reason)
            return None
        self._retries -= 1
        self._turn.steps[-1].reject(f"{stop.guard.name}: {stop.directive}")
        return asked_again(self._call, stop.directive)

    def end_call(self) -> None:
        """Record what was withheld in the current model call; does nothing without one."""
        self.publish_verdicts()
        gate, self._gate = self._gate, None
        if gate is not None:
            self._turn.steps[-1].withheld = gate.withheld

    async def step(self, drafts: list[Draft]) -> list[Draft]:
        """Feed the gate, in a thread if the text is long."""
        if not _is_long(drafts):
            passed = self.gate.feed(drafts)
        else:
            passed = []
            for part in _in_parts(drafts):
                if self.gate.stop is None:
                    passed += await self._in_thread(partial(self.gate.feed, part))
        self.publish_verdicts()
        return passed

    async def _in_thread(self, work: Callable[[], list[Draft]]) -> list[Draft]:
        self.is_interrupted = True  # if it is cancelled while it waits for a thread
        passed = await trio.to_thread.run_sync(work, limiter=self._guards.threads)
        self.is_interrupted = False
        return passed

    def open_now(self) -> list[Draft]:
        """Let pass what `buffer_first` holds, because its time is over."""
        passed = self.gate.open_now()
        self.publish_verdicts()
        return passed

    async def conclude(self) -> list[Draft]:
        """End the gate's drafts and return the last ones, after an examination of the text."""
        last = await self._conclude(self.gate, self._guards.embedded_scores)
        self.publish_verdicts()
        return last

    async def _conclude(
        self, gate: Gate, embedded_scores: Callable[[str], Awaitable[Scores | None]] | None
    ) -> list[Draft]:
        last = await self._in_thread(gate.end) if gate.held > LONG else gate.end()
        if gate.stop is not None:
            return last
        chain, text, scores_of = gate.last_chain, gate.whole_text, self._guards.scores_of
        if not chain:
            return gate.conclude(None)
        if embedded_scores is not None:
            scores = await embedded_scores(text)
            if scores is not None:
                scores_of = partial(_given, scores)
        return gate.conclude(await self._examine(chain, text, scores_of))

    async def conclude_part(self) -> list[Draft]:
        """Examine what was shown of a model call that was cut off; return what replaces it.

        An answer that was cut at its greatest size also gets what was held.
        """
        gate, text = self._gate, self._turn.answer.text
        if gate is None or gate.stop is not None:
            return []
        cause = self._turn.cause
        if cause is not None and cause.reason is Reason.SIZE_LIMIT and not self.is_interrupted:
            return await self._conclude(gate, None)
        chain = gate.chain_of_a_part
        if not text or not chain:
            return []
        found = await self._examine(chain, text, self._guards.scores_of)
        return gate.conclude_part(text, found)

    def unchecked_part(self) -> list[Draft]:
        """Return what replaces the shown text if there was no time to check it."""
        return self.gate.unchecked_part()

    async def _examine(
        self, chain: tuple[AnyCheck, ...], text: str, scores_of: Callable[[str], Scores]
    ) -> Examination:
        work = partial(examine, chain, text, scores_of)
        return await off_loop(len(text) > LONG, self._guards.threads, work)

    # The gate may run in a thread, but the turn and the bus belong to the event loop.

    def _add_verdict(self, *verdict: *_Verdict) -> None:
        self._verdicts.append(verdict)

    def _add_failure(self, guard: GuardSpec, error: Exception) -> None:
        self._failures.append((guard, error))

    def publish_verdicts(self) -> None:
        """Record and publish the verdicts and failures since the last time."""
        while self._verdicts:
            self._publish_verdict(*self._verdicts.popleft())
        while self._failures:
            self._publish_failure(*self._failures.popleft())

    def _publish_verdict(
        self, guard: GuardSpec | None, stage: Stage, finding: Finding, count: int, text: str
    ) -> None:
        turn = self._turn
        keep = turn.request.guards.keep_original and finding != "pass" and turn.keeps_content
        verdict = GuardVerdict(
            guard=guard.name if guard else "chain",
            stage=stage,
            verdict=finding,
            at=self._now(),
            step=len(turn.steps),
            count=count,
            original=text if keep else None,
        )
        self._record(verdict)
        if finding != "pass":
            self._bus.publish(GuardDecided(turn.id, replace(verdict, original=None)))

    def _record(self, verdict: GuardVerdict) -> None:
        """Add a verdict, or count one more piece if a guard rewrites text of a call again."""
        recorded = self._turn.verdicts
        for place, old in enumerate(recorded if verdict.verdict == "rewrite" else ()):
            if (old.guard, old.stage, old.step) == (verdict.guard, verdict.stage, verdict.step):
                texts = [text for text in (old.original, verdict.original) if text is not None]
                recorded[place] = replace(
                    old, count=old.count + verdict.count, original="\n".join(texts) or None
                )
                return
        recorded.append(verdict)

    def _publish_failure(self, guard: GuardSpec, error: Exception) -> None:
        if guard.name not in self._failed:
            self._failed.add(guard.name)
            self._publish_verdict(guard, "flow", "failed", 1, "")
            # Without its message, which may quote the text.
            frames = traceback.extract_tb(error.__traceback__)
            where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
            kind = type(error).__name__
            self._bus.publish(GuardFailed(self._turn.id, guard.name, kind, where))


def _given(scores: Scores, text: str) -> Scores:
    return scores


def _is_long(drafts: list[Draft]) -> bool:
    texts = (d.delta for d in drafts if isinstance(d, Text | Reasoning | Refusal))
    return sum(map(len, texts)) > LONG


def _in_parts(drafts: list[Draft]) -> Iterator[list[Draft]]:
    """Yield the drafts in lists of at most about `PART` characters of text."""
    part: list[Draft] = []
    size = 0
    for draft in drafts:
        for piece in _pieces(draft):
            part.append(piece)
            size += len(piece.delta) if isinstance(piece, Text | Reasoning | Refusal) else 0
            if size >= PART:
                yield part
                part, size = [], 0
    if part:
        yield part


def _pieces(draft: Draft) -> Iterator[Draft]:
    if not isinstance(draft, Text | Reasoning | Refusal) or len(draft.delta) <= PART:
        yield draft
        return
    for begin in range(0, len(draft.delta), PART):
        yield replace(draft, delta=draft.delta[begin : begin + PART])


async def watch(guard: Guard, inbox: Receiver[Draft], outbox: Sender[Draft]) -> None:
    """Run the actor for one model call: until its drafts end or a guard stops it."""
    gate = guard.gate
    with outbox:
        buffer_ends = math.inf
        while (drafts := await _next(inbox, buffer_ends)) is not None:
            passed = await guard.step(drafts) if drafts else guard.open_now()
            if not gate.is_buffering:
                buffer_ends = math.inf
            elif buffer_ends == math.inf:
                buffer_ends = trio.current_time() + guard.buffer_max_s
            if passed:
                await outbox.put(passed)
            if gate.stop is not None:
                return
        last = await guard.conclude()
        if last:
            await outbox.put(last)


async def _next(inbox: Receiver[Draft], until: float) -> list[Draft] | None:
    """Return the next drafts, none at the time `until`, or None at their end."""
    try:
        if until == math.inf:
            return await inbox.get()
        with trio.move_on_at(until):
            return await inbox.get()
    except trio.EndOfChannel:
        return None
    return []
