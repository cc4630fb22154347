"""Tests of whole turns, from the inserted row to the final record, for every kind of end."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from actors.accumulator import Accumulator, Draft
from actors.attempts.attempt import Item
from actors.finalisation.finaliser import SPOOL_TIMEOUT_S
from actors.journal.journal import Journal
from actors.ports import AnswerStream, ignore
from actors.run_turn import run_turn
from actors.turn import events
from actors.turn.chunks import FinishChunk, TextChunk, ToolCallChunk, UsageChunk
from actors.turn.events import Ended, Started, Text
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from actors.turn.outcome import DisconnectStage, Mode, Price, Reason, Status
from actors.turn.request import Timeouts
from actors.turn.state import Lease, Turn
from actors.turn.store_records import Finalised
from actors.usage.estimator import LearningEstimator
from tests.support.sample_events import USAGE
from tests.support.turn_fakes import (
    FINALISE_S,
    FOREVER,
    HELD,
    Line,
    ScriptedProvider,
    StoreBug,
    StoreFault,
    TurnHarness,
    a_guard,
    a_request,
    stop,
    text,
    the_end,
)

QUICK = Timeouts(connect_s=1, first_byte_s=2, first_token_s=3, idle_s=4)


class Bug(Exception):
    pass


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the accumulator crash at the text `bug`, and then at every later step."""
    step, broken = Accumulator.step, set[Accumulator]()

    def fragile_step(accumulator: Accumulator, items: list[Item]) -> list[Draft]:
        if TextChunk("bug") in items or accumulator in broken:
            broken.add(accumulator)
            raise Bug
        return step(accumulator, items)

    monkeypatch.setattr(Accumulator, "step", fragile_step)


async def run_checked(harness: TurnHarness, turn: Turn | None = None) -> Turn:
    turn = turn or harness.turn()
    await run_turn(turn, harness.dependencies)
    assert_books_agree(harness, turn)
    return turn


def assert_books_agree(harness: TurnHarness, turn: Turn) -> None:
    """Check that the record agrees with the journal and that the journal is stored completely."""
    record, end = harness.record, the_end(turn)
    assert turn.final.is_set()
    assert turn.stage == "ended"
    assert (record.status, record.reason) == (end.status.value, end.reason.value)
    assert record.last_event == len(turn.journal.events) - 1
    if record.segment is not None and record in harness.store.spooled:
        harness.store._keep(record.segment)
    assert harness.store.journal(turn.id) == turn.journal.events
    assert isinstance(turn.journal.events[0], Started)
    assert [ended for ended, *_ in harness.observer.ended] == [turn.id]
    for provider in harness.providers.values():
        assert provider.opening == 0
        assert [answer.left for answer in provider.answers] == [1] * len(provider.answers)


def outcome(turn: Turn) -> tuple[Status, Reason]:
    end = the_end(turn)
    return end.status, end.reason


async def test_completed_turn(autojump_clock: MockClock) -> None:
    harness = TurnHarness(
        ScriptedProvider(1.0, text("Hel"), 1.0, text("lo", "!"), [UsageChunk(USAGE)], stop())
    )
    asked = a_request("main", price=Price(input=1_000_000, output=2_000_000, cached_input=0))
    turn = await run_checked(harness, harness.turn(asked))
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert turn.stored == "committed"
    record = harness.record
    assert record.turn == harness.store.begun[turn.id]
    assert record.text == "Hello!"
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.output_tokens) == (7, 3)
    assert (record.usage.estimated, record.usage.cost_micros) == (False, 7 - 2 + 6)
    assert (record.provider, record.upstream_model) == ("main", "main-model")
    assert record.first_token_at == record.turn.created_at + 1
    assert record.ended_at == record.turn.created_at + 2
    assert record.error is None
    assert record.disconnect_stage is None
    (step,) = record.steps
    assert (step.number, step.finish) == (1, "stop")
    assert [attempt.result for attempt in step.attempts] == ["answered"]


async def test_stop_sequence_that_was_met_is_in_the_last_event(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), [FinishChunk(Reason.STOP, "END")])
    turn = await run_checked(TurnHarness(main))
    assert the_end(turn).stop_sequence == "END"


async def test_complete_tool_call_is_stored(autojump_clock: MockClock) -> None:
    harness = TurnHarness(
        ScriptedProvider([ToolCallChunk(0, "call_1", "f", "{}")], stop(Reason.TOOL_CALLS))
    )
    turn = await run_checked(harness)
    assert outcome(turn) == (Status.COMPLETED, Reason.TOOL_CALLS)
    assert events.ToolCall(0, "call_1", "f", "{}") in turn.journal.events
    assert harness.record.tool_calls is not None
    assert '"call_1"' in harness.record.tool_calls


async def test_turn_without_stored_text_stores_only_its_row(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(text("secret"), stop()))
    turn = harness.turn(a_request("main", keep_text=False))
    await run_turn(turn, harness.dependencies)
    record = harness.record
    assert (record.text, record.segment, record.tool_calls) == ("", None, None)
    assert record.usage is not None
    assert record.usage.output_tokens == LearningEstimator().estimate("", "secret") > 0
    assert record.last_event == len(turn.journal.events) - 1


FAILURES: list[tuple[list[Line], Line, Reason]] = [
    ([text("a")], 0.0, Reason.UPSTREAM_TRUNCATED),
    ([], 0.0, Reason.UPSTREAM_TRUNCATED),
    ([text("a"), UpstreamFailure(FailureKind.IN_STREAM_ERROR, "x")], 0.0, Reason.UPSTREAM_ERROR),
    ([text("a"), UpstreamFailure(FailureKind.MALFORMED, "x")], 0.0, Reason.UPSTREAM_ERROR),
    ([], UpstreamFailure(FailureKind.REFUSED, "x"), Reason.UPSTREAM_UNREACHABLE),
    ([], UpstreamFailure(FailureKind.CONNECT_TIMEOUT, "x"), Reason.UPSTREAM_TIMEOUT),
    ([], UpstreamFailure(FailureKind.REJECTED, "x", status=400), Reason.UPSTREAM_REJECTED),
    ([], UpstreamFailure(FailureKind.SERVER_ERROR, "x", status=500), Reason.UPSTREAM_ERROR),
    ([], FOREVER, Reason.UPSTREAM_TIMEOUT),
    ([FOREVER], 0.0, Reason.UPSTREAM_TIMEOUT),
    ([text("a"), FOREVER], 0.0, Reason.UPSTREAM_TIMEOUT),
]


@pytest.mark.parametrize(("lines", "head", "reason"), FAILURES)
async def test_failing_upstream(
    autojump_clock: MockClock, lines: list[Line], head: Line, reason: Reason
) -> None:
    harness = TurnHarness(ScriptedProvider(*lines, head=head))
    turn = await run_checked(harness, harness.turn(a_request("main", timeouts=QUICK)))
    assert outcome(turn) == (Status.FAILED, reason)
    answered = isinstance(head, float) and head < FOREVER
    assert (harness.record.usage is not None) == bool(turn.first_token_at)
    assert (harness.record.provider == "main") == answered
    assert harness.record.error is not None


async def test_half_time_warning_comes_at_exactly_half(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(text("a"), FOREVER))
    turn = harness.turn(a_request("main", total_s=60))
    seen: list[tuple[float, type]] = []

    async def read() -> None:
        subscription = turn.journal.subscribe()
        while not subscription.exhausted:
            seen.extend((trio.current_time(), type(e)) for e in await subscription.read())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await run_checked(harness, turn)
    assert seen == [(0, Started), (0, Text), (30, events.Warning), (60, Ended)]
    assert outcome(turn) == (Status.INCOMPLETE, Reason.TIME_BUDGET)
    assert harness.record.text == "a"


async def test_half_time_warning_does_not_wait_for_an_answer(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(head=FOREVER))
    turn = await run_checked(harness, harness.turn(a_request("main", total_s=60)))
    assert [type(event) for event in turn.journal.events] == [Started, events.Warning, Ended]
    assert outcome(turn) == (Status.INCOMPLETE, Reason.TIME_BUDGET)


async def test_time_budget_spans_all_attempts(autojump_clock: MockClock) -> None:
    harness = TurnHarness(
        ScriptedProvider(head=FOREVER), ScriptedProvider(head=FOREVER, name="spare")
    )
    asked = a_request("main", "spare", total_s=3, timeouts=QUICK)
    turn = await run_checked(harness, harness.turn(asked))
    assert outcome(turn) == (Status.INCOMPLETE, Reason.TIME_BUDGET)
    assert trio.current_time() == 3


async def test_time_budget_error_lists_the_attempts(
    autojump_clock: MockClock,
) -> None:
    harness = TurnHarness(
        ScriptedProvider(head=FOREVER), ScriptedProvider(head=FOREVER, name="spare")
    )
    asked = a_request("main", "spare", total_s=3, timeouts=QUICK)
    turn = await run_checked(harness, harness.turn(asked))
    error = the_end(turn).error
    assert error is not None
    assert (error.status, error.code) == (504, "time_budget")
    assert (
        "Tried: main/main-model: first byte timeout; spare/spare-model: cancelled." in error.message
    )


STAGES = [
    # time, provider, text produced by then, disconnect stage
    (0.5, None, "", DisconnectStage.BEFORE_FIRST_TOKEN),  # during insertion of the row
    (1.5, None, "", DisconnectStage.BEFORE_FIRST_TOKEN),  # before the response head
    (2.5, "main", "", DisconnectStage.BEFORE_FIRST_TOKEN),  # before the first token
    (3.5, "main", "Hel", DisconnectStage.MID_STREAM),
    (4.5, "main", "Hello", DisconnectStage.AFTER_END),  # between finish and end of stream
]


def staged() -> TurnHarness:
    harness = TurnHarness(
        ScriptedProvider(1.0, text("Hel"), 1.0, [*text("lo"), *stop()], 1.0, head=1.0)
    )
    harness.store.takes_s = 1.0
    return harness


@pytest.mark.parametrize(("at", "provider", "produced", "stage"), STAGES)
async def test_cancel_at_each_stage(
    autojump_clock: MockClock,
    at: float,
    provider: str | None,
    produced: str,
    stage: DisconnectStage,
) -> None:
    harness = staged()
    turn = harness.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_checked, harness, turn)
        await trio.sleep(at)
        turn.stop(Reason.CANCEL_REQUESTED)
    expected = (Status.CANCELLED, Reason.CANCEL_REQUESTED)
    if stage is DisconnectStage.AFTER_END:
        expected = (Status.COMPLETED, Reason.STOP)
    assert outcome(turn) == expected
    assert harness.record.text == produced
    assert harness.record.provider == provider
    assert harness.record.disconnect_stage is None
    assert trio.current_time() == at + harness.store.takes_s


@pytest.mark.parametrize(("at", "provider", "produced", "stage"), STAGES)
async def test_disconnect_at_each_stage(
    autojump_clock: MockClock,
    at: float,
    provider: str | None,
    produced: str,
    stage: DisconnectStage,
) -> None:
    harness = staged()
    turn = harness.turn(a_request("main", mode=Mode.ATTACHED))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_checked, harness, turn)
        with trio.move_on_after(at):
            async with Lease(turn, settle_s=10):
                await trio.sleep_forever()
        assert turn.final.is_set()
    assert harness.record.disconnect_stage == stage.value
    assert the_end(turn).disconnect_stage is stage
    assert harness.record.text == produced
    reason = Reason.STOP if stage is DisconnectStage.AFTER_END else Reason.CLIENT_DISCONNECTED
    assert harness.record.reason == reason.value
    assert all(answer.left_at == at for answer in harness.providers["main"].answers)


async def test_disconnect_during_finalisation_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    harness = staged()
    turn = harness.turn(a_request("main", mode=Mode.ATTACHED))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_checked, harness, turn)
        with trio.move_on_after(5.5):
            async with Lease(turn, settle_s=10):
                await trio.sleep_forever()
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert harness.record.disconnect_stage is None


async def test_first_cause_is_kept(autojump_clock: MockClock) -> None:
    harness = staged()
    turn = harness.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_checked, harness, turn)
        await trio.sleep(3.5)
        turn.stop(Reason.SERVER_SHUTDOWN)
        turn.stop(Reason.CANCEL_REQUESTED)
    assert outcome(turn) == (Status.INCOMPLETE, Reason.SERVER_SHUTDOWN)


async def test_answer_beyond_the_size_limit(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("abc"), text("def"), FOREVER)
    harness = TurnHarness(main)
    turn = await run_checked(harness, harness.turn(a_request("main", max_answer_bytes=5)))
    assert outcome(turn) == (Status.INCOMPLETE, Reason.SIZE_LIMIT)
    assert [type(e) for e in turn.journal.events] == [Started, Text, events.Warning, Ended]
    assert harness.record.text == "abc"
    assert harness.record.usage is not None
    assert harness.record.usage.output_tokens == LearningEstimator().estimate("", "abcdef") > 0
    assert trio.current_time() == 0


async def test_size_limit_wins_over_a_finish_in_the_same_read(
    autojump_clock: MockClock,
) -> None:
    harness = TurnHarness(ScriptedProvider([*text("abc", "def"), *stop()]))
    turn = await run_checked(harness, harness.turn(a_request("main", max_answer_bytes=5)))
    assert outcome(turn) == (Status.INCOMPLETE, Reason.SIZE_LIMIT)


async def test_held_text_is_neither_stored_nor_charged_at_a_cancel(
    autojump_clock: MockClock,
) -> None:
    harness = TurnHarness(
        ScriptedProvider(text("Shown. "), 0.5, text("abcdefgh"), FOREVER),
        guards=[a_guard(HELD)],
    )
    turn = harness.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_checked, harness, turn)
        await trio.sleep(1)
        turn.stop(Reason.CANCEL_REQUESTED)
    assert harness.record.text == "Shown."
    assert harness.record.usage is not None
    (attempt,) = harness.record.steps[0].attempts
    whole = LearningEstimator().estimate("", "Shown. abcdefgh")
    assert attempt.output_tokens == whole
    assert harness.record.usage.output_tokens == round(whole * len("Shown.") / 15)


async def test_held_text_is_shown_at_the_end(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(text("held"), stop()), guards=[a_guard(HELD)])
    turn = await run_checked(harness)
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert harness.record.text == "held"


async def test_held_text_is_not_shown_in_another_turn(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(text("mine"), 1.0, stop()), guards=[a_guard(HELD)])
    async with trio.open_nursery() as nursery:
        for number in range(3):
            turn = harness.turn(turn_id=f"turn_{number}")
            nursery.start_soon(run_turn, turn, harness.dependencies)
    assert [record.text for record in harness.store.finals] == ["mine"] * 3


async def test_store_that_refuses_new_turns(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(stop()))
    harness.store.trouble["begin"] = StoreFault.REFUSES
    turn = harness.turn()
    await run_turn(turn, harness.dependencies)
    end = the_end(turn)
    assert (end.status, end.reason) == (Status.FAILED, Reason.STORE_UNAVAILABLE)
    assert end.error is not None
    assert end.error.status == 503
    assert end.error.retry_after_s == 2.0
    assert [type(event) for event in turn.journal.events] == [Started, Ended]
    assert turn.stored is None
    assert harness.store.records == harness.observer.lost == []
    assert harness.providers["main"].calls == []
    assert len(harness.observer.troubles) == 1
    assert harness.observer.crashes == []


async def test_store_that_hangs_in_begin(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(stop()))
    harness.store.trouble["begin"] = StoreFault.HANGS
    turn = await run_checked(harness, harness.turn(a_request("main", total_s=9)))
    assert outcome(turn) == (Status.INCOMPLETE, Reason.TIME_BUDGET)
    assert harness.record in harness.store.finals


@pytest.mark.parametrize("trouble", [StoreFault.REFUSES, StoreFault.HANGS, StoreFault.CRASHES])
async def test_record_refused_by_the_database_is_spooled(
    autojump_clock: MockClock, trouble: StoreFault
) -> None:
    harness = TurnHarness(ScriptedProvider(text("a"), stop()))
    harness.store.trouble["finalise"] = trouble
    turn = await run_checked(harness)
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert turn.stored == "spooled"
    assert harness.store.spooled == [harness.record]
    assert trio.current_time() == (FINALISE_S if trouble is StoreFault.HANGS else 0)
    reported = harness.observer.troubles + harness.observer.crashes
    assert len(reported) == 1
    assert isinstance(reported[0], StoreBug) == (trouble is StoreFault.CRASHES)


@pytest.mark.parametrize("trouble", [StoreFault.REFUSES, StoreFault.HANGS, StoreFault.CRASHES])
async def test_record_refused_by_database_and_spool_is_logged(
    autojump_clock: MockClock, trouble: StoreFault
) -> None:
    harness = TurnHarness(ScriptedProvider(text("a"), stop()))
    harness.store.trouble = {"finalise": trouble, "spool": trouble}
    turn = harness.turn()
    await run_turn(turn, harness.dependencies)
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert turn.stored == "unsaved"
    assert harness.store.records == []
    (lost,) = harness.observer.lost
    assert lost.text == "a"
    assert trio.current_time() == (FINALISE_S + SPOOL_TIMEOUT_S) * (trouble is StoreFault.HANGS)


async def test_lost_finalise_race_publishes_the_winners_end(
    autojump_clock: MockClock,
) -> None:
    failure = UpstreamFailure(FailureKind.IN_STREAM_ERROR, "mine alone")
    harness = TurnHarness(ScriptedProvider(text("a"), failure))
    harness.store.winner = Finalised(False, "completed", "stop")
    turn = harness.turn()
    await run_turn(turn, harness.dependencies)
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert the_end(turn).error is None
    assert turn.stored == "committed"
    assert harness.store.records == []


async def test_crash_of_an_actor_is_reported(fragile: None, autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(text("ok"), 1.0, text("bug"), FOREVER))
    turn = await run_checked(harness)
    assert outcome(turn) == (Status.FAILED, Reason.INTERNAL_ERROR)
    assert harness.record.text == "ok"
    assert bugs_reported(harness) == 2  # the leftovers crash, too


async def test_crash_of_a_provider_is_reported(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(text("ok"), Bug()))
    turn = await run_checked(harness)
    assert outcome(turn) == (Status.FAILED, Reason.INTERNAL_ERROR)
    error = the_end(turn).error
    assert error is not None
    assert error.status == 500
    assert bugs_reported(harness) == 1


async def test_crash_while_building_the_record_loses_only_content(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise Bug

    monkeypatch.setattr("actors.finalisation.outcome_decision.TurnEnding.record", crash)
    harness = TurnHarness(ScriptedProvider(text("a"), stop()))
    turn = harness.turn()
    await run_turn(turn, harness.dependencies)
    (record,) = harness.store.finals
    assert (record.status, record.text, record.segment) == ("completed", "", None)
    assert record.usage is not None
    assert turn.stored == "committed"
    assert bugs_reported(harness) == 1


@pytest.mark.parametrize("line", [text("a"), []])
async def test_crash_while_building_the_end_still_publishes_an_end(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, line: Line
) -> None:
    def crash(*_: object) -> None:
        raise Bug

    monkeypatch.setattr("actors.finalisation.outcome_decision.TurnEnding.ended", crash)
    harness = TurnHarness(ScriptedProvider(line, stop()))
    turn = harness.turn()
    await run_turn(turn, harness.dependencies)
    assert outcome(turn) == (Status.FAILED, Reason.INTERNAL_ERROR)
    assert the_end(turn).error is not None
    assert [type(event) for event in turn.journal.events].count(Ended) == 1
    assert isinstance(turn.journal.events[0], Started)
    assert turn.final.is_set()
    assert turn.stored == "unsaved"
    assert bugs_reported(harness) == 1


async def test_crash_after_the_end_publishes_no_second_end(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Journal.close

    def crash_once(journal: Journal) -> None:
        monkeypatch.setattr(Journal, "close", close)
        raise Bug

    monkeypatch.setattr(Journal, "close", crash_once)
    harness = TurnHarness(ScriptedProvider(text("a"), stop()))
    turn = harness.turn()
    await run_turn(turn, harness.dependencies)
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert [type(event) for event in turn.journal.events].count(Ended) == 1
    assert turn.stored == "committed"


def bugs_reported(harness: TurnHarness) -> int:
    """Return the number of bugs reported to the observer, including those in exception groups."""

    def count(error: BaseException) -> int:
        if isinstance(error, BaseExceptionGroup):
            return sum(map(count, error.exceptions))
        return isinstance(error, Bug)

    return sum(map(count, harness.observer.crashes))


class FailsOnCancel(ScriptedProvider):
    """A provider that raises its own exception when it is cancelled."""

    async def open(
        self, call: ModelCall, *, connect_s: float, alive: Callable[[], None] = ignore
    ) -> AnswerStream:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise Bug from None  # noqa: ASYNC104 (the bug under test)


def cancel_turn(turn: Turn, nursery: trio.Nursery) -> None:
    turn.stop(Reason.CANCEL_REQUESTED)


def cancel_nursery(turn: Turn, nursery: trio.Nursery) -> None:
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("cancel", "reason"),
    [(cancel_turn, Reason.CANCEL_REQUESTED), (cancel_nursery, Reason.SERVER_SHUTDOWN)],
)
async def test_bug_during_a_cancellation_is_reported(
    autojump_clock: MockClock,
    cancel: Callable[[Turn, trio.Nursery], None],
    reason: Reason,
) -> None:
    harness = TurnHarness(FailsOnCancel())
    turn = harness.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_turn, turn, harness.dependencies)
        await trio.sleep(1)
        cancel(turn, nursery)
    assert bugs_reported(harness) == 1
    assert harness.record.reason == reason.value


@pytest.mark.parametrize("at", [0.5, 1.5, 2.5, 3.5])
async def test_cancelled_service_still_finalises(autojump_clock: MockClock, at: float) -> None:
    harness = staged()
    turn = harness.turn()
    with trio.move_on_after(at) as service:
        await run_turn(turn, harness.dependencies)
    assert service.cancelled_caught
    assert outcome(turn) == (Status.INCOMPLETE, Reason.SERVER_SHUTDOWN)
    assert_books_agree(harness, turn)
    assert harness.observer.crashes == []


async def test_end_is_published_after_its_record_is_stored(autojump_clock: MockClock) -> None:
    harness = staged()
    turn = harness.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_checked, harness, turn)
        await trio.sleep(5.5)
        assert turn.stage == "finalising"
        assert harness.store.finals
        assert not turn.journal.closed
        await turn.final.wait()
        assert trio.current_time() == 6


async def test_fenced_turn_stops(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(text("a"), FOREVER))
    turn = harness.turn()
    harness.store.lost_owner.add(turn.id)
    harness.store.winner = Finalised(False, "failed", "owner_lost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(harness.checkpointer.run)
        await run_turn(turn, harness.dependencies)
        nursery.cancel_scope.cancel()
    assert outcome(turn) == (Status.FAILED, Reason.OWNER_LOST)
    assert harness.store.records == []
    assert trio.current_time() <= 0.25
