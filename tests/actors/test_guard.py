"""Tests of guards in whole turns: retries, late verdicts, time, and every kind of early end."""

import msgspec
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from actors.guards.spec import PASS, Action, Block, Retry, Rewrite, Scores, TextCheck, Verdict
from actors.journal.checkpointer import decode_events
from actors.run_turn import run_turn
from actors.turn import events
from actors.turn.events import Ended, Replace, Text
from actors.turn.lifecycle_events import GuardFailed
from actors.turn.messages import UserMessage, text_of
from actors.turn.outcome import GuardMode, GuardVerdict, Price, Reason, Status
from actors.turn.state import Turn
from tests.support.turn_fakes import (
    FOREVER,
    Scene,
    ScriptedProvider,
    TurnHarness,
    a_guard,
    a_request,
    stop,
    text,
)


def judge(text: str, scores: Scores) -> Verdict:
    """Retry `bad`, block `worse`, and correct `teh`."""
    if "worse" in text:
        return Block()
    if "bad" in text:
        return Retry("Be good.")
    return Rewrite(text.replace("teh", "the")) if "teh" in text else PASS


JUDGE = a_guard(TextCheck(check=judge), name="judge", action=Action.BLOCK, streaming=True)
PRICE = Price(input=1_000_000, output=2_000_000)


def guarded(harness: TurnHarness, mode: GuardMode, **more: object) -> Turn:
    asked = a_request(*harness.providers, price=PRICE)
    plan = replace(asked.guards, guards=("judge",), mode=mode, **more)
    return harness.turn(replace(asked, guards=plan))


def verdicts(turn: Turn) -> list[tuple[str, str, str, int]]:
    return [(one.guard, one.stage, one.verdict, one.step) for one in turn.verdicts]


def stored(harness: TurnHarness) -> str:
    """Return all text of the answer that was stored or published, by any way."""
    record = harness.record
    segments = [decode_events(s.blob) for s in harness.store.kept.get("turn_1", {}).values()]
    return repr((segments, record.text, record.items, record.verdicts, record.steps))


async def test_retry_gives_one_answer_and_two_recorded_attempts(autojump_clock: MockClock) -> None:
    again = Scene((text("A good answer."), stop()))
    main = ScriptedProvider(text("A bad "), text("answer."), stop(), then=[again])
    harness = TurnHarness(main, guards=[JUDGE])
    turn = guarded(harness, GuardMode.BUFFER_ALL)
    await run_turn(turn, harness.dependencies)
    assert harness.observer.crashes == []
    assert (harness.record.status, harness.record.text) == ("completed", "A good answer.")
    (first, _), (second, _) = main.calls
    assert second.messages[:-1] == first.messages
    note = second.messages[-1]
    assert isinstance(note, UserMessage)
    assert "Be good." in text_of(note)
    one, other = [step.attempts[0] for step in harness.record.steps]
    assert (one.step, one.result, one.message) == (1, "rejected", "judge: Be good.")
    assert (other.step, other.result) == (2, "answered")
    assert one.cost_micros == (one.input_tokens or 0) + 2 * (one.output_tokens or 0)
    usage = harness.record.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (other.input_tokens, other.output_tokens)
    assert verdicts(turn) == [("judge", "end", "retry", 1), ("chain", "end", "pass", 2)]
    assert events.Retry("judge") in turn.journal.events
    assert "bad" not in stored(harness)
    assert all(answer.left == 1 for answer in main.answers)


async def test_upstream_is_closed_as_soon_as_a_guard_decides(autojump_clock: MockClock) -> None:
    again = Scene((text("A good answer."), stop()))
    beginning = text("This is a bad beginning of it. And ")
    main = ScriptedProvider(beginning, 1.0, text("more"), FOREVER, then=[again])
    harness = TurnHarness(main, guards=[JUDGE])
    turn = guarded(harness, GuardMode.BUFFER_FIRST)
    await run_turn(turn, harness.dependencies)
    assert harness.observer.crashes == []
    assert main.answers[0].left_at == 0
    assert harness.record.text == "A good answer."


async def test_answers_that_stay_bad_are_rejected(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("A bad answer."), stop())
    harness = TurnHarness(main, guards=[JUDGE])
    turn = guarded(harness, GuardMode.BUFFER_ALL)
    await run_turn(turn, harness.dependencies)
    assert harness.observer.crashes == []
    assert (harness.record.status, harness.record.reason) == ("failed", "guard_rejected")
    assert harness.record.text == "This answer was withheld."
    assert len(main.calls) == 3
    assert harness.record.usage is not None
    assert harness.record.usage.output_tokens == 0
    assert "bad" not in stored(harness)


@pytest.mark.parametrize(
    ("last", "kept", "reason"),
    [
        ("teh end.", "A first sentence, as shown. And the end.", Reason.CONTENT_FILTER),
        ("worse.", "This answer was withheld.", Reason.GUARD_BLOCKED),
    ],
)
async def test_late_verdict_withdraws_what_was_shown_and_stored(
    last: str, kept: str, reason: Reason, autojump_clock: MockClock
) -> None:
    main = ScriptedProvider(
        text("A first sentence, as shown. "), 5.0, text("And "), 5.0, text(last), 5.0, stop()
    )
    harness = TurnHarness(main, guards=[JUDGE])
    turn = guarded(harness, GuardMode.BUFFER_FIRST)
    seen: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(harness.checkpointer.run)
        reading = turn.journal.subscribe()

        async def read() -> None:
            while not reading.exhausted:
                seen.extend(e.delta for e in await reading.read() if isinstance(e, Text))

        nursery.start_soon(read)
        await run_turn(turn, harness.dependencies)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert "".join(seen).startswith("A first sentence, as shown. And ")
    assert harness.store.flushes
    assert (harness.record.reason, harness.record.text) == (reason.value, kept)
    assert harness.record.rewrites_journal
    journal = harness.store.journal("turn_1")
    assert journal == turn.journal.events
    assert "".join(e.delta for e in journal if isinstance(e, Text)) == kept
    assert [e.text for e in journal if isinstance(e, Replace)] == [kept]
    assert harness.record.usage is not None
    assert harness.record.usage.output_tokens == 0


async def test_time_opens_the_buffer(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("Hm "), 10.0, text("well."), stop())
    harness = TurnHarness(main, guards=[JUDGE])
    turn = guarded(harness, GuardMode.BUFFER_FIRST, buffer_max_s=1.5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_turn, turn, harness.dependencies)
        await trio.sleep(1.4)
        assert turn.answer.text == ""
        await trio.sleep(0.2)
        assert turn.answer.text == "Hm "
    assert harness.record.text == "Hm well."


@pytest.mark.parametrize("mode", GuardMode)
@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.CLIENT_DISCONNECTED, Status.INCOMPLETE),
        (Reason.CANCEL_REQUESTED, Status.CANCELLED),
        (Reason.TIME_BUDGET, Status.INCOMPLETE),
    ],
)
async def test_early_end_leaves_one_record_without_withheld_text(
    mode: GuardMode, reason: Reason, status: Status, autojump_clock: MockClock
) -> None:
    held = a_guard(TextCheck(check=judge), name="judge", action=Action.BLOCK)
    main = ScriptedProvider(text("bad"), 2.0, text(" more"), FOREVER)
    harness = TurnHarness(main, guards=[held])
    turn = guarded(harness, mode, buffer_max_s=60.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_turn, turn, harness.dependencies)
        await trio.sleep(1)
        turn.stop(reason)
    assert (harness.record.status, harness.record.reason) == (status.value, reason.value)
    ends = [event for event in turn.journal.events if isinstance(event, Ended)]
    assert len(ends) == 1
    if mode is not GuardMode.HOLD_BACK:  # which has nothing to hold here
        assert harness.record.text == ""
        assert "bad" not in stored(harness)
        assert harness.record.usage is not None
        assert harness.record.usage.output_tokens == 0


@pytest.mark.parametrize(
    ("last", "kept"),
    [
        ("teh end", "A first sentence, as shown. And the end"),
        ("worse", "This answer was withheld."),
        ("good", "A first sentence, as shown. And good"),
    ],
)
@pytest.mark.parametrize("cause", [Reason.CLIENT_DISCONNECTED, Reason.TIME_BUDGET, None])
async def test_shown_part_of_an_answer_is_checked_before_it_is_stored(
    last: str, kept: str, cause: Reason | None, autojump_clock: MockClock
) -> None:
    main = ScriptedProvider(text("A first sentence, as shown. "), text("And ", last), FOREVER)
    harness = TurnHarness(main, guards=[JUDGE])
    turn = guarded(harness, GuardMode.BUFFER_FIRST)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(harness.checkpointer.run)
        nursery.start_soon(run_turn, turn, harness.dependencies)
        await trio.sleep(1)
        assert turn.answer.text == "A first sentence, as shown. And " + last
        assert harness.store.flushes
        if cause is not None:
            turn.stop(cause)
            await turn.final.wait()
        nursery.cancel_scope.cancel()
    assert harness.observer.crashes == []
    assert harness.record.reason == (cause or Reason.SERVER_SHUTDOWN).value
    assert harness.record.text == kept
    assert last == "good" or last not in stored(harness)
    assert harness.store.journal("turn_1") == turn.journal.events


async def test_original_is_kept_only_for_audit(autojump_clock: MockClock) -> None:
    for keep in (False, True):
        main = ScriptedProvider(text("teh answer."), stop())
        harness = TurnHarness(main, guards=[JUDGE])
        turn = guarded(harness, GuardMode.BUFFER_ALL, keep_original=keep)
        await run_turn(turn, harness.dependencies)
        assert harness.record.text == "the answer."
        kept = msgspec.json.decode(harness.record.verdicts or "", type=list[GuardVerdict])
        assert kept[0].original == ("teh answer." if keep else None)


async def test_failure_of_a_guard_is_reported_without_text(autojump_clock: MockClock) -> None:
    def fail(text: str, scores: Scores) -> Verdict:
        raise ValueError(text)

    main = ScriptedProvider(text("An answer."), stop())
    flawed = a_guard(TextCheck(check=fail), name="judge", action=Action.REWRITE)
    harness = TurnHarness(main, guards=[flawed])
    turn = guarded(harness, GuardMode.HOLD_BACK)
    await run_turn(turn, harness.dependencies)
    assert harness.observer.crashes == []
    assert harness.record.text == "An answer."
    (failure,) = [e for e in harness.observer.published if isinstance(e, GuardFailed)]
    assert (failure.guard, failure.error) == ("judge", "ValueError")
    assert "An answer" not in repr(failure)
