"""Tests of an attempt's timeouts, exact in virtual time."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.attempts.deadlines import SLACK_S, AttemptClock
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.request import Timeouts

TIMEOUTS = Timeouts(first_byte_s=3, first_token_s=5, idle_s=7)


async def wait_for_timeout(clock: AttemptClock) -> FailureKind:
    with pytest.raises(UpstreamFailure) as caught:  # noqa: PT012
        with clock.scope:
            await trio.sleep_forever()
        clock.check()
    return caught.value.kind


async def test_first_byte_timeout(autojump_clock: MockClock) -> None:
    assert await wait_for_timeout(AttemptClock(TIMEOUTS)) is FailureKind.FIRST_BYTE_TIMEOUT
    assert trio.current_time() == 3


async def test_first_token_timeout_runs_from_the_head(autojump_clock: MockClock) -> None:
    clock = AttemptClock(TIMEOUTS)
    await trio.sleep(2)
    clock.head_arrived()
    assert await wait_for_timeout(clock) is FailureKind.FIRST_TOKEN_TIMEOUT
    assert trio.current_time() == 2 + 5


async def test_idle_timeout_runs_from_the_last_content(autojump_clock: MockClock) -> None:
    clock = AttemptClock(TIMEOUTS)
    clock.head_arrived()
    for _ in range(3):
        await trio.sleep(4)
        clock.content_arrived()
    assert await wait_for_timeout(clock) is FailureKind.IDLE_TIMEOUT
    assert 12 + 7 <= trio.current_time() <= 12 + 7 + SLACK_S


async def test_first_content_ends_the_first_token_timeout_at_once(
    autojump_clock: MockClock,
) -> None:
    clock = AttemptClock(Timeouts(first_byte_s=3, first_token_s=0.02, idle_s=7))
    clock.head_arrived()
    clock.content_arrived()
    assert await wait_for_timeout(clock) is FailureKind.IDLE_TIMEOUT
    assert trio.current_time() == pytest.approx(7 + SLACK_S)


async def test_check_raises_nothing_before_the_deadline(autojump_clock: MockClock) -> None:
    clock = AttemptClock(TIMEOUTS)
    with clock.scope:
        await trio.sleep(2.9)
    clock.check()


async def test_outer_cancellation_is_not_a_timeout(autojump_clock: MockClock) -> None:
    clock = AttemptClock(TIMEOUTS)
    with trio.move_on_after(1), clock.scope:
        await trio.sleep_forever()
    clock.check()
    assert trio.current_time() == 1


async def _silent_after(pauses: list[float]) -> None:
    clock = AttemptClock(TIMEOUTS)
    clock.head_arrived()
    clock.content_arrived()
    last = trio.current_time()
    for pause in pauses:
        await trio.sleep(pause)
        clock.content_arrived()
        last = trio.current_time()
    assert await wait_for_timeout(clock) is FailureKind.IDLE_TIMEOUT
    silence = trio.current_time() - last
    assert TIMEOUTS.idle_s - 1e-9 <= silence <= TIMEOUTS.idle_s + SLACK_S + 1e-9


@given(st.lists(st.floats(0, 0.2) | st.floats(0, 6.9), max_size=20))
def test_idle_timeout_is_never_early_and_at_most_slack_late(pauses: list[float]) -> None:
    trio.run(_silent_after, pauses, clock=MockClock(autojump_threshold=0))
