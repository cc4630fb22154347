"""A turn from its row to its record: every way to end, and what is left of it."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from actors import events
from actors.accumulator import Draft
from actors.chunks import ToolCallChunk, UsageChunk
from actors.estimating.estimator import Estimator
from actors.events import Ended, Started, Text
from actors.finalise import SPOOL_TIMEOUT_S
from actors.journal import Journal
from actors.lease import Lease
from actors.outcome import DisconnectStage, Mode, Reason, Status
from actors.ports import Finalised
from actors.price import Price
from actors.providers.base import Answer, FailureKind, ModelCall, UpstreamFailure
from actors.run_turn import run_turn
from actors.timeouts import Timeouts
from actors.turn import Turn
from tests.actors.fakes import (
    FINALISE_S,
    FOREVER,
    HoldingScreen,
    Line,
    ScriptedProvider,
    StoreBug,
    Theatre,
    Trouble,
    a_request,
    stop,
    text,
    the_end,
)
from tests.actors.samples import USAGE

QUICK = Timeouts(connect_s=1, first_byte_s=2, first_token_s=3, idle_s=4)


class Bug(Exception):
    pass


class Buggy:
    """A screen that crashes on the text `bug`."""

    def step(self, drafts: list[Draft]) -> list[Draft]:
        if Text("bug") in drafts:
            raise Bug
        return drafts

    def end(self) -> list[Draft]:
        return []


async def play(theatre: Theatre, turn: Turn | None = None) -> Turn:
    turn = turn or theatre.turn()
    await run_turn(turn, theatre.backstage)
    assert_books_agree(theatre, turn)
    return turn


def assert_books_agree(theatre: Theatre, turn: Turn) -> None:
    """The record says what the journal says, and the journal is kept whole."""
    record, end = theatre.record, the_end(turn)
    assert turn.final.is_set()
    assert turn.stage == "ended"
    assert (record.status, record.reason) == (end.status.value, end.reason.value)
    assert record.last_event == len(turn.journal.events) - 1
    if record.segment is not None and record in theatre.store.spooled:
        theatre.store._keep(record.segment)
    assert theatre.store.journal(turn.id) == turn.journal.events
    assert isinstance(turn.journal.events[0], Started)
    assert [ended for ended, *_ in theatre.observer.ended] == [turn.id]
    for provider in theatre.providers.values():
        assert provider.opening == 0
        assert [answer.left for answer in provider.answers] == [1] * len(provider.answers)


def outcome(turn: Turn) -> tuple[Status, Reason]:
    end = the_end(turn)
    return end.status, end.reason


async def test_a_whole_answer(autojump_clock: MockClock) -> None:
    theatre = Theatre(
        ScriptedProvider(1.0, text("Hel"), 1.0, text("lo", "!"), [UsageChunk(USAGE)], stop())
    )
    asked = a_request("main", price=Price(input=1_000_000, output=2_000_000, cached_input=0))
    turn = await play(theatre, theatre.turn(asked))
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert turn.stored == "committed"
    record = theatre.record
    assert record.turn == theatre.store.begun[turn.id]
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


async def test_a_tool_call_is_kept_whole(autojump_clock: MockClock) -> None:
    theatre = Theatre(
        ScriptedProvider([ToolCallChunk(0, "call_1", "f", "{}")], stop(Reason.TOOL_CALLS))
    )
    turn = await play(theatre)
    assert outcome(turn) == (Status.COMPLETED, Reason.TOOL_CALLS)
    assert events.ToolCall(0, "call_1", "f", "{}") in turn.journal.events
    assert theatre.record.tool_calls is not None
    assert '"call_1"' in theatre.record.tool_calls


async def test_without_text_kept_only_the_row_is(autojump_clock: MockClock) -> None:
    theatre = Theatre(ScriptedProvider(text("secret"), stop()))
    turn = theatre.turn(a_request("main", keep_text=False))
    await run_turn(turn, theatre.backstage)
    record = theatre.record
    assert (record.text, record.segment, record.tool_calls) == ("", None, None)
    assert record.usage is not None
    assert record.usage.output_tokens == Estimator().estimate("", "secret") > 0
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
async def test_an_upstream_that_fails(
    autojump_clock: MockClock, lines: list[Line], head: Line, reason: Reason
) -> None:
    theatre = Theatre(ScriptedProvider(*lines, head=head))
    turn = await play(theatre, theatre.turn(a_request("main", timeouts=QUICK)))
    assert outcome(turn) == (Status.FAILED, reason)
    answered = isinstance(head, float) and head < FOREVER
    assert (theatre.record.usage is not None) == bool(turn.first_token_at)
    assert (theatre.record.provider == "main") == answered
    assert theatre.record.error is not None


async def test_half_of_the_budget_is_said_at_exactly_half(autojump_clock: MockClock) -> None:
    theatre = Theatre(ScriptedProvider(text("a"), FOREVER))
    turn = theatre.turn(a_request("main", total_s=60))
    seen: list[tuple[float, type]] = []

    async def read() -> None:
        subscription = turn.journal.subscribe()
        while not subscription.exhausted:
            seen.extend((trio.current_time(), type(e)) for e in await subscription.read())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await play(theatre, turn)
    assert seen == [(0, Started), (0, Text), (30, events.Warning), (60, Ended)]
    assert outcome(turn) == (Status.INCOMPLETE, Reason.TIME_BUDGET)
    assert theatre.record.text == "a"


async def test_the_half_time_warning_does_not_wait_for_an_answer(autojump_clock: MockClock) -> None:
    theatre = Theatre(ScriptedProvider(head=FOREVER))
    turn = await play(theatre, theatre.turn(a_request("main", total_s=60)))
    assert [type(event) for event in turn.journal.events] == [Started, events.Warning, Ended]
    assert outcome(turn) == (Status.INCOMPLETE, Reason.TIME_BUDGET)


async def test_the_budget_spans_all_attempts(autojump_clock: MockClock) -> None:
    theatre = Theatre(ScriptedProvider(head=FOREVER), ScriptedProvider(head=FOREVER, name="spare"))
    asked = a_request("main", "spare", total_s=3, timeouts=QUICK)
    turn = await play(theatre, theatre.turn(asked))
    assert outcome(turn) == (Status.INCOMPLETE, Reason.TIME_BUDGET)
    assert trio.current_time() == 3


async def test_what_was_tried_in_the_time_that_is_used_up_is_told(
    autojump_clock: MockClock,
) -> None:
    theatre = Theatre(ScriptedProvider(head=FOREVER), ScriptedProvider(head=FOREVER, name="spare"))
    asked = a_request("main", "spare", total_s=3, timeouts=QUICK)
    turn = await play(theatre, theatre.turn(asked))
    error = the_end(turn).error
    assert error is not None
    assert (error.status, error.code) == (504, "time_budget")
    assert (
        "Tried: main/main-model: first byte timeout; spare/spare-model: cancelled." in error.message
    )


STAGES = [
    # at, what has been said by then, how far it had come
    (0.5, None, "", DisconnectStage.BEFORE_FIRST_TOKEN),  # the row is being inserted
    (1.5, None, "", DisconnectStage.BEFORE_FIRST_TOKEN),  # the head is awaited
    (2.5, "main", "", DisconnectStage.BEFORE_FIRST_TOKEN),  # the first token is
    (3.5, "main", "Hel", DisconnectStage.MID_STREAM),
    (4.5, "main", "Hello", DisconnectStage.AFTER_END),  # the finish was seen, the end was not
]


def staged() -> Theatre:
    theatre = Theatre(
        ScriptedProvider(1.0, text("Hel"), 1.0, [*text("lo"), *stop()], 1.0, head=1.0)
    )
    theatre.store.takes_s = 1.0
    return theatre


@pytest.mark.parametrize(("at", "provider", "said", "stage"), STAGES)
async def test_a_cancel_at_each_stage(
    autojump_clock: MockClock, at: float, provider: str | None, said: str, stage: DisconnectStage
) -> None:
    theatre = staged()
    turn = theatre.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, theatre, turn)
        await trio.sleep(at)
        turn.stop(Reason.CANCEL_REQUESTED)
    expected = (Status.CANCELLED, Reason.CANCEL_REQUESTED)
    if stage is DisconnectStage.AFTER_END:
        expected = (Status.COMPLETED, Reason.STOP)
    assert outcome(turn) == expected
    assert theatre.record.text == said
    assert theatre.record.provider == provider
    assert theatre.record.disconnect_stage is None
    assert trio.current_time() == at + theatre.store.takes_s


@pytest.mark.parametrize(("at", "provider", "said", "stage"), STAGES)
async def test_a_disconnect_at_each_stage(
    autojump_clock: MockClock, at: float, provider: str | None, said: str, stage: DisconnectStage
) -> None:
    theatre = staged()
    turn = theatre.turn(a_request("main", mode=Mode.ATTACHED))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, theatre, turn)
        with trio.move_on_after(at):
            async with Lease(turn, settle_s=10):
                await trio.sleep_forever()
        assert turn.final.is_set()
    assert theatre.record.disconnect_stage == stage.value
    assert the_end(turn).disconnect_stage is stage
    assert theatre.record.text == said
    reason = Reason.STOP if stage is DisconnectStage.AFTER_END else Reason.CLIENT_DISCONNECTED
    assert theatre.record.reason == reason.value
    assert all(answer.left_at == at for answer in theatre.providers["main"].answers)


async def test_who_leaves_while_the_record_is_written_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    theatre = staged()
    turn = theatre.turn(a_request("main", mode=Mode.ATTACHED))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, theatre, turn)
        with trio.move_on_after(5.5):
            async with Lease(turn, settle_s=10):
                await trio.sleep_forever()
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert theatre.record.disconnect_stage is None


async def test_the_first_cause_stands(autojump_clock: MockClock) -> None:
    theatre = staged()
    turn = theatre.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, theatre, turn)
        await trio.sleep(3.5)
        turn.stop(Reason.SERVER_SHUTDOWN)
        turn.stop(Reason.CANCEL_REQUESTED)
    assert outcome(turn) == (Status.INCOMPLETE, Reason.SERVER_SHUTDOWN)


async def test_an_answer_that_grows_too_long(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("abc"), text("def"), FOREVER)
    theatre = Theatre(main)
    turn = await play(theatre, theatre.turn(a_request("main", max_answer_bytes=5)))
    assert outcome(turn) == (Status.INCOMPLETE, Reason.SIZE_LIMIT)
    assert [type(e) for e in turn.journal.events] == [Started, Text, events.Warning, Ended]
    assert theatre.record.text == "abc"
    assert theatre.record.usage is not None
    assert theatre.record.usage.output_tokens == Estimator().estimate("", "abcdef") > 0
    assert trio.current_time() == 0


async def test_too_long_and_finished_in_one_read_is_still_too_long(
    autojump_clock: MockClock,
) -> None:
    theatre = Theatre(ScriptedProvider([*text("abc", "def"), *stop()]))
    turn = await play(theatre, theatre.turn(a_request("main", max_answer_bytes=5)))
    assert outcome(turn) == (Status.INCOMPLETE, Reason.SIZE_LIMIT)


async def test_held_text_is_counted_at_a_cancel_but_not_stored(autojump_clock: MockClock) -> None:
    theatre = Theatre(
        ScriptedProvider(text("Shown. "), 0.5, text("abcdefgh"), FOREVER),
        screens=lambda: (HoldingScreen(),),
    )
    turn = theatre.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, theatre, turn)
        await trio.sleep(1)
        turn.stop(Reason.CANCEL_REQUESTED)
    assert theatre.record.text == "Shown. "
    assert theatre.record.usage is not None
    assert theatre.record.usage.output_tokens == Estimator().estimate("", "Shown. abcdefgh")


async def test_held_text_is_shown_at_the_end(autojump_clock: MockClock) -> None:
    theatre = Theatre(ScriptedProvider(text("held"), stop()), screens=lambda: (HoldingScreen(),))
    turn = await play(theatre)
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert theatre.record.text == "held"


async def test_what_is_held_of_one_turn_is_not_shown_in_another(autojump_clock: MockClock) -> None:
    theatre = Theatre(
        ScriptedProvider(text("mine"), 1.0, stop()), screens=lambda: (HoldingScreen(),)
    )
    async with trio.open_nursery() as nursery:
        for number in range(3):
            turn = theatre.turn(turn_id=f"turn_{number}")
            nursery.start_soon(run_turn, turn, theatre.backstage)
    assert [record.text for record in theatre.store.finals] == ["mine"] * 3


async def test_a_store_that_takes_no_turns(autojump_clock: MockClock) -> None:
    theatre = Theatre(ScriptedProvider(stop()))
    theatre.store.trouble["begin"] = Trouble.REFUSES
    turn = theatre.turn()
    await run_turn(turn, theatre.backstage)
    end = the_end(turn)
    assert (end.status, end.reason) == (Status.FAILED, Reason.STORE_UNAVAILABLE)
    assert end.error is not None
    assert end.error.status == 503
    assert end.error.retry_after_s == 2.0
    assert [type(event) for event in turn.journal.events] == [Started, Ended]
    assert turn.stored is None
    assert theatre.store.records == theatre.observer.lost == []
    assert theatre.providers["main"].calls == []
    assert len(theatre.observer.troubles) == 1
    assert theatre.observer.crashes == []


async def test_a_store_that_answers_begin_never(autojump_clock: MockClock) -> None:
    theatre = Theatre(ScriptedProvider(stop()))
    theatre.store.trouble["begin"] = Trouble.HANGS
    turn = await play(theatre, theatre.turn(a_request("main", total_s=9)))
    assert outcome(turn) == (Status.INCOMPLETE, Reason.TIME_BUDGET)
    assert theatre.record in theatre.store.finals


@pytest.mark.parametrize("trouble", [Trouble.REFUSES, Trouble.HANGS, Trouble.CRASHES])
async def test_a_record_that_the_database_does_not_take_is_spooled(
    autojump_clock: MockClock, trouble: Trouble
) -> None:
    theatre = Theatre(ScriptedProvider(text("a"), stop()))
    theatre.store.trouble["finalise"] = trouble
    turn = await play(theatre)
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert turn.stored == "spooled"
    assert theatre.store.spooled == [theatre.record]
    assert trio.current_time() == (FINALISE_S if trouble is Trouble.HANGS else 0)
    told = theatre.observer.troubles + theatre.observer.crashes
    assert len(told) == 1
    assert isinstance(told[0], StoreBug) == (trouble is Trouble.CRASHES)


@pytest.mark.parametrize("trouble", [Trouble.REFUSES, Trouble.HANGS, Trouble.CRASHES])
async def test_a_record_that_nobody_takes_goes_to_the_log(
    autojump_clock: MockClock, trouble: Trouble
) -> None:
    theatre = Theatre(ScriptedProvider(text("a"), stop()))
    theatre.store.trouble = {"finalise": trouble, "spool": trouble}
    turn = theatre.turn()
    await run_turn(turn, theatre.backstage)
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert turn.stored == "unsaved"
    assert theatre.store.records == []
    (lost,) = theatre.observer.lost
    assert lost.text == "a"
    assert trio.current_time() == (FINALISE_S + SPOOL_TIMEOUT_S) * (trouble is Trouble.HANGS)


async def test_who_loses_the_race_publishes_what_the_winner_wrote(
    autojump_clock: MockClock,
) -> None:
    failure = UpstreamFailure(FailureKind.IN_STREAM_ERROR, "mine alone")
    theatre = Theatre(ScriptedProvider(text("a"), failure))
    theatre.store.winner = Finalised(False, "completed", "stop")
    turn = theatre.turn()
    await run_turn(turn, theatre.backstage)
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert the_end(turn).error is None
    assert turn.stored == "committed"
    assert theatre.store.records == []


async def test_an_actor_that_crashes_is_reported(autojump_clock: MockClock) -> None:
    theatre = Theatre(
        ScriptedProvider(text("ok"), 1.0, text("bug"), FOREVER), screens=lambda: (Buggy(),)
    )
    turn = await play(theatre)
    assert outcome(turn) == (Status.FAILED, Reason.INTERNAL_ERROR)
    assert theatre.record.text == "ok"
    assert bugs(theatre) == 1


async def test_a_provider_that_crashes_is_reported(autojump_clock: MockClock) -> None:
    theatre = Theatre(ScriptedProvider(text("ok"), Bug()))
    turn = await play(theatre)
    assert outcome(turn) == (Status.FAILED, Reason.INTERNAL_ERROR)
    error = the_end(turn).error
    assert error is not None
    assert error.status == 500
    assert bugs(theatre) == 1


async def test_a_step_that_crashes_on_the_leftovers_too_is_reported_twice(
    autojump_clock: MockClock,
) -> None:
    theatre = Theatre(ScriptedProvider(text("a"), FOREVER), screens=lambda: (Stuck(),))
    turn = await play(theatre)
    assert outcome(turn) == (Status.FAILED, Reason.INTERNAL_ERROR)
    assert bugs(theatre) == 2


class Stuck:
    """A screen that crashes when text comes, and then always."""

    def __init__(self) -> None:
        self.broken = False

    def step(self, drafts: list[Draft]) -> list[Draft]:
        self.broken |= any(isinstance(draft, Text) for draft in drafts)
        if self.broken:
            raise Bug
        return drafts

    def end(self) -> list[Draft]:
        return []


async def test_an_answer_that_cannot_be_kept_costs_its_text_only(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise Bug

    monkeypatch.setattr("actors.ending.Ending.record", crash)
    theatre = Theatre(ScriptedProvider(text("a"), stop()))
    turn = theatre.turn()
    await run_turn(turn, theatre.backstage)
    (record,) = theatre.store.finals
    assert (record.status, record.text, record.segment) == ("completed", "", None)
    assert record.usage is not None
    assert turn.stored == "committed"
    assert bugs(theatre) == 1


@pytest.mark.parametrize("said", [text("a"), []])
async def test_an_end_that_cannot_be_told_is_still_an_end(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, said: Line
) -> None:
    def crash(*_: object) -> None:
        raise Bug

    monkeypatch.setattr("actors.ending.Ending.ended", crash)
    theatre = Theatre(ScriptedProvider(said, stop()))
    turn = theatre.turn()
    await run_turn(turn, theatre.backstage)
    assert outcome(turn) == (Status.FAILED, Reason.INTERNAL_ERROR)
    assert the_end(turn).error is not None
    assert [type(event) for event in turn.journal.events].count(Ended) == 1
    assert isinstance(turn.journal.events[0], Started)
    assert turn.final.is_set()
    assert turn.stored == "unsaved"
    assert bugs(theatre) == 1


async def test_a_bug_after_the_end_was_published_publishes_no_other(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Journal.close

    def crash_once(journal: Journal) -> None:
        monkeypatch.setattr(Journal, "close", close)
        raise Bug

    monkeypatch.setattr(Journal, "close", crash_once)
    theatre = Theatre(ScriptedProvider(text("a"), stop()))
    turn = theatre.turn()
    await run_turn(turn, theatre.backstage)
    assert outcome(turn) == (Status.COMPLETED, Reason.STOP)
    assert [type(event) for event in turn.journal.events].count(Ended) == 1
    assert turn.stored == "committed"


def bugs(theatre: Theatre) -> int:
    """How many bugs the observer was told of, out of their groups."""

    def count(error: BaseException) -> int:
        if isinstance(error, BaseExceptionGroup):
            return sum(map(count, error.exceptions))
        return isinstance(error, Bug)

    return sum(map(count, theatre.observer.crashes))


class BadLoser(ScriptedProvider):
    """Raises a bug of its own when its reader is cancelled."""

    async def open(self, call: ModelCall, *, connect_s: float) -> Answer:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise Bug from None  # noqa: ASYNC104 (that is the bug)


def cancel_turn(turn: Turn, nursery: trio.Nursery) -> None:
    turn.stop(Reason.CANCEL_REQUESTED)


def cancel_nursery(turn: Turn, nursery: trio.Nursery) -> None:
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("cancel", "reason"),
    [(cancel_turn, Reason.CANCEL_REQUESTED), (cancel_nursery, Reason.SERVER_SHUTDOWN)],
)
async def test_a_bug_that_came_with_a_cancellation_is_reported(
    autojump_clock: MockClock,
    cancel: Callable[[Turn, trio.Nursery], None],
    reason: Reason,
) -> None:
    theatre = Theatre(BadLoser())
    turn = theatre.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_turn, turn, theatre.backstage)
        await trio.sleep(1)
        cancel(turn, nursery)
    assert bugs(theatre) == 1
    assert theatre.record.reason == reason.value


@pytest.mark.parametrize("at", [0.5, 1.5, 2.5, 3.5])
async def test_a_service_that_is_cancelled_still_finalises(
    autojump_clock: MockClock, at: float
) -> None:
    theatre = staged()
    turn = theatre.turn()
    with trio.move_on_after(at) as service:
        await run_turn(turn, theatre.backstage)
    assert service.cancelled_caught
    assert outcome(turn) == (Status.INCOMPLETE, Reason.SERVER_SHUTDOWN)
    assert_books_agree(theatre, turn)
    assert theatre.observer.crashes == []


async def test_the_end_is_published_only_once_its_record_is_kept(autojump_clock: MockClock) -> None:
    theatre = staged()
    turn = theatre.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, theatre, turn)
        await trio.sleep(5.5)
        assert turn.stage == "finalising"
        assert theatre.store.finals
        assert not turn.journal.closed
        await turn.final.wait()
        assert trio.current_time() == 6


async def test_a_fenced_turn_stops(autojump_clock: MockClock) -> None:
    theatre = Theatre(ScriptedProvider(text("a"), FOREVER))
    turn = theatre.turn()
    theatre.store.lost_owner.add(turn.id)
    theatre.store.winner = Finalised(False, "failed", "owner_lost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theatre.checkpointer.run)
        await run_turn(turn, theatre.backstage)
        nursery.cancel_scope.cancel()
    assert outcome(turn) == (Status.FAILED, Reason.OWNER_LOST)
    assert theatre.store.records == []
    assert trio.current_time() <= 0.25
