"""Property test of whole turns: random scripts that end at random times for random causes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from trio.testing import MockClock

from actors.attempts.retry_policy import MAX_ATTEMPTS_PER_ROUTE
from actors.run_turn import run_turn
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.event_order import EventOrder
from actors.turn.events import Ended, Started
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import TERMINAL, Mode, OnCut, Reason, Status, Usage
from actors.turn.request import Timeouts
from actors.turn.state import Lease
from actors.turn.store_records import AttemptRecord, FinalRecord
from actors.usage.estimator import LearningEstimator
from tests.support.sample_events import answer_chunks
from tests.support.sizes import examples
from tests.support.turn_fakes import (
    FOREVER,
    HELD,
    AtStep,
    Line,
    ScriptedProvider,
    StoreFault,
    TurnHarness,
    a_guard,
    a_request,
    text_in,
)

INSTANTS = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0])
"""Few coarse values, so that several events often fall on the same instant."""

TIMEOUTS = Timeouts(connect_s=2, first_byte_s=2, first_token_s=3, idle_s=3)
TOTAL_S = 12.0

reads: st.SearchStrategy[Line] = st.one_of(
    st.lists(answer_chunks | st.just(FinishChunk(Reason.STOP)), max_size=4),
    st.lists(answer_chunks, max_size=4),
    INSTANTS,
    st.sampled_from([FOREVER]),
    st.builds(UpstreamFailure, st.sampled_from(FailureKind), st.just("failed")),
)
heads: st.SearchStrategy[Line] = st.one_of(
    INSTANTS,
    st.just(FOREVER),
    st.builds(
        UpstreamFailure,
        st.sampled_from([FailureKind.REFUSED, FailureKind.REJECTED]),
        st.just("no"),
        status=st.sampled_from([400, 429, 503]),
    ),
)


@dataclass(frozen=True)
class Scenario:
    """A random scenario for one turn."""

    routes: list[tuple[Line, list[Line]]]
    end_at: float | int
    """Time of the end in seconds (float), or number of a task step (int)."""
    cause: str
    mode: Mode
    holding: bool
    keep_text: bool
    max_answer_bytes: int
    store_takes_s: float
    trouble: dict[str, StoreFault]


scenarios = st.builds(
    Scenario,
    routes=st.lists(st.tuples(heads, st.lists(reads, max_size=8)), min_size=1, max_size=2),
    end_at=INSTANTS | st.integers(1, 100),
    cause=st.sampled_from(["nothing", "leave", "cancel", "shutdown", "service cancelled"]),
    mode=st.sampled_from(Mode),
    holding=st.booleans(),
    keep_text=st.booleans(),
    max_answer_bytes=st.sampled_from([1_000_000, 10]),
    store_takes_s=st.sampled_from([0.0, 0.1, 1.0]),
    trouble=st.dictionaries(
        st.sampled_from(["checkpoint", "finalise", "spool"]),
        st.sampled_from(StoreFault),
        max_size=2,
    ),
)


class Run:
    """One turn run by a scenario, and the checks of its results."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.providers = [
            ScriptedProvider(*lines, head=head, name=f"route{number}")
            for number, (head, lines) in enumerate(scenario.routes)
        ]
        self.harness = TurnHarness(
            *self.providers, guards=[a_guard(HELD)] if scenario.holding else []
        )
        self.harness.store.takes_s = scenario.store_takes_s
        self.harness.store.trouble = scenario.trouble

    async def run_turn_to_end(self) -> None:
        scenario = self.scenario
        asked = a_request(
            *self.harness.providers,
            timeouts=TIMEOUTS,
            total_s=TOTAL_S,
            mode=scenario.mode,
            resume_window_s=1.0,
            keep_text=scenario.keep_text,
            max_answer_bytes=scenario.max_answer_bytes,
        )
        # Continuing has its own tests; here the shown text comes from a single route.
        self.turn = self.harness.turn(replace(asked, on_cut=OnCut.FAIL))
        before = trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as checkpoints:
            if scenario.trouble.get("checkpoint") is not StoreFault.CRASHES:
                checkpoints.start_soon(self.harness.checkpointer.run)
            async with trio.open_nursery() as service:
                service.start_soon(run_turn, self.turn, self.harness.dependencies)
                await self._hold_until_the_end(service)
            checkpoints.cancel_scope.cancel()
        assert trio.lowlevel.current_statistics().tasks_living == before

    async def _hold_until_the_end(self, service: trio.Nursery) -> None:
        with trio.CancelScope() as request:
            async with Lease(self.turn, settle_s=100):
                ends: dict[str, Callable[[], None]] = {
                    "nothing": lambda: None,
                    "leave": request.cancel,
                    "cancel": partial(self.turn.stop, Reason.CANCEL_REQUESTED),
                    "shutdown": partial(self.turn.stop, Reason.SERVER_SHUTDOWN),
                    "service cancelled": service.cancel_scope.cancel,
                }
                await self._end_on_time(ends[self.scenario.cause])
                await self.turn.final.wait()

    async def _end_on_time(self, end: Callable[[], None]) -> None:
        if isinstance(self.scenario.end_at, int):
            trio.lowlevel.add_instrument(AtStep(self.scenario.end_at, end))
            return
        with trio.move_on_after(self.scenario.end_at):
            await self.turn.final.wait()
        end()

    @property
    def record(self) -> FinalRecord:
        (record,) = self.harness.store.records + self.harness.observer.lost
        return record

    def check(self) -> None:
        self.check_end()
        self.check_journal()
        self.check_text()
        self.check_usage()
        self.check_upstream()

    def check_end(self) -> None:
        turn, record = self.turn, self.record
        end = turn.journal.events[-1]
        assert isinstance(end, Ended)
        assert end.status in TERMINAL
        assert (record.status, record.reason) == (end.status.value, end.reason.value)
        assert (record.disconnect_stage or None) == end.disconnect_stage
        assert turn.final.is_set()
        assert turn.journal.closed
        homes = {"committed": self.harness.store.finals, "spooled": self.harness.store.spooled}
        assert homes.get(turn.stored or "", self.harness.observer.lost) == [record]
        assert len(self.harness.observer.ended) == 1
        if self.scenario.cause == "nothing":
            assert end.reason not in {Reason.CLIENT_DISCONNECTED, Reason.CANCEL_REQUESTED}

    def check_journal(self) -> None:
        journal, store = self.turn.journal.events, self.harness.store
        order = EventOrder()
        for event in journal:
            order.advance(event)
        assert isinstance(journal[0], Started)
        assert self.record.last_event == len(journal) - 1
        if not self.scenario.keep_text:
            assert store.kept == {}
            assert self.record.segment is None
            return
        if self.turn.stored != "committed":
            assert self.record.segment is not None
            store._keep(self.record.segment)
        assert store.journal(self.turn.id) == journal

    def check_text(self) -> None:
        given = "".join(answer.text for p in self.providers for answer in p.answers)
        shown = text_in(self.turn.journal.events)
        assert given.startswith(shown)
        assert self.record.text == (shown if self.scenario.keep_text else "")
        if self.record.status == Status.COMPLETED:
            assert shown.startswith(self._text_before_the_finish())

    def _text_before_the_finish(self) -> str:
        chunks = [chunk for p in self.providers for answer in p.answers for chunk in answer.said]
        until = next(i for i, chunk in enumerate(chunks) if isinstance(chunk, FinishChunk))
        return "".join(chunk.text for chunk in chunks[:until] if isinstance(chunk, TextChunk))

    def check_usage(self) -> None:
        """Check the charge: the last attempt's usage, unless it failed before any content."""
        attempts = self.attempts
        answers = [answer for p in self.providers for answer in p.answers]
        usage = self.record.usage
        if not answers:
            assert usage is None
            assert self.record.provider is None
            return
        chunks = answers[-1].said
        reasoning = [chunk for chunk in chunks if isinstance(chunk, ReasoningChunk)]
        visible = [chunk for chunk in chunks if not isinstance(chunk, ReasoningChunk)]
        generated = "".join(map(_generated, [*reasoning, *visible]))
        content = any(isinstance(chunk, CONTENT) for chunk in chunks)
        opened = attempts[-1].input_tokens is not None
        if not (content or (opened and attempts[-1].result in ("answered", "cancelled"))):
            assert usage is None
            return
        reported = [chunk.usage for chunk in chunks if isinstance(chunk, UsageChunk)]
        call, untaught = self.turn.request.call, LearningEstimator()
        expected = Usage(
            input_tokens=untaught.estimate_input("", call),
            output_tokens=untaught.estimate("", generated, 0),
            estimated=True,
        )
        if reported and _is_final(chunks):
            expected = reported[-1]
        elif reported:
            most = max(reported[-1].output_tokens, expected.output_tokens)
            expected = replace(reported[-1], output_tokens=most, estimated=True)
        assert usage is not None
        assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (
            expected.input_tokens,
            expected.output_tokens,
            expected.estimated,
        )

    @property
    def attempts(self) -> list[AttemptRecord]:
        return [attempt for step in self.record.steps for attempt in step.attempts]

    def check_upstream(self) -> None:
        for provider in self.providers:
            assert provider.opening == 0
            assert len(provider.calls) <= MAX_ATTEMPTS_PER_ROUTE
            assert [answer.left for answer in provider.answers] == [1] * len(provider.answers)
        attempts = self.attempts
        assert [a.number for a in attempts] == list(range(1, len(attempts) + 1))
        assert len(attempts) == sum(len(provider.calls) for provider in self.providers)


CONTENT = (TextChunk, ReasoningChunk, RefusalChunk, ToolCallChunk)


def _is_final(chunks: list[Chunk]) -> bool:
    """Return True if the last reported usage covers all content."""
    if any(isinstance(chunk, FinishChunk) for chunk in chunks):
        return True
    figures = max(i for i, chunk in enumerate(chunks) if isinstance(chunk, UsageChunk))
    return not any(isinstance(chunk, CONTENT) for chunk in chunks[figures:])


def _generated(chunk: Chunk) -> str:
    match chunk:
        case TextChunk(piece) | ReasoningChunk(piece) | RefusalChunk(piece):
            return piece
        case ToolCallChunk(arguments=piece):
            return piece
        case _:
            return ""


@settings(max_examples=examples(200))
@given(scenarios)
def test_every_scenario_ends_with_one_consistent_record(scenario: Scenario) -> None:
    run = Run(scenario)
    trio.run(run.run_turn_to_end, clock=MockClock(autojump_threshold=0))
    run.check()
