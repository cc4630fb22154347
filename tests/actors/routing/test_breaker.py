"""Tests of the circuit breaker: opening, probes, closing and stale permits."""

from collections.abc import Callable
from itertools import count

import pytest

from actors.routing.breaker import Breaker, BreakerSettings, BreakerStatus, Permit

SETTINGS = BreakerSettings(
    failure_share=0.5, minimum_requests=4, window_s=30, cooldown_s=5, cooldown_max_s=30
)
CLOSED = BreakerStatus("closed", None, 0, 0, None)
_calls = count()


def admitted(breaker: Breaker, now: float, *, last_resort: bool = False) -> Permit:
    permit = breaker.admit(now, last_resort=last_resort)
    assert permit is not None
    return permit


def fail(breaker: Breaker, *times: float) -> None:
    """Fail different calls at these times."""
    for now in times:
        admitted(breaker, now).failed(now, next(_calls))


def succeed(breaker: Breaker, *times: float) -> None:
    for now in times:
        permit = admitted(breaker, now)
        permit.succeeded(now)
        permit.release()


def opened_breaker(at: float = 0.0) -> Breaker:
    """Return a breaker that four failures opened."""
    breaker = Breaker(SETTINGS)
    fail(breaker, *[at] * 4)
    return breaker


def open_for(breaker: Breaker, now: float) -> float | None:
    """Check that the breaker is open and return the seconds until it admits a probe."""
    status = breaker.status(now)
    assert status.state == "open"
    assert breaker.admit(now) is None
    return status.retry_in_s


def test_new_breaker_admits_all_attempts() -> None:
    breaker = Breaker(SETTINGS)
    assert breaker.status(0) == CLOSED
    permits = {admitted(breaker, 0) for _ in range(100)}
    assert len(permits) == 100
    assert not any(permit.is_probe for permit in permits)


def test_share_of_failures_opens_the_breaker() -> None:
    breaker = Breaker(SETTINGS)
    succeed(breaker, 0)
    for now in range(1, 10):
        succeed(breaker, now)
        fail(breaker, now)
    assert breaker.status(9) == BreakerStatus("closed", None, 9, 19, None)
    fail(breaker, 9)
    assert breaker.status(9) == BreakerStatus("open", "failures", 10, 20, 5)
    assert breaker.admit(9) is None


def test_failures_below_the_share_do_not_open_the_breaker() -> None:
    breaker = Breaker(SETTINGS)
    for now in range(300):
        succeed(breaker, now, now)
        fail(breaker, now)
    assert breaker.status(299).state == "closed"


def test_failures_below_the_minimum_do_not_open_the_breaker() -> None:
    breaker = Breaker(SETTINGS)
    fail(breaker, 0, 1, 2)
    assert breaker.status(2) == BreakerStatus("closed", None, 3, 3, None)


def test_calls_outside_the_window_do_not_count() -> None:
    breaker = Breaker(SETTINGS)
    fail(breaker, 0, 10, 20, 30, 40, 50)
    assert breaker.status(50) == BreakerStatus("closed", None, 3, 3, None)
    assert breaker.status(1000) == CLOSED


def test_failures_in_a_row_open_the_breaker_of_a_busy_route() -> None:
    breaker = Breaker(SETTINGS)
    succeed(breaker, *[0.0] * 1000)
    fail(breaker, *[1.0] * 15)
    succeed(breaker, 2)
    fail(breaker, *[3.0] * 15)
    assert breaker.status(3).state == "closed"
    fail(breaker, 3)
    assert open_for(breaker, 3) == 5


def test_identical_calls_count_once() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(100):
        admitted(breaker, 0).failed(0, 7)
    assert breaker.status(0) == BreakerStatus("closed", None, 1, 1, None)
    fail(breaker, 0, 0, 0)
    assert open_for(breaker, 0) == 5


def test_requests_that_could_not_be_sent_count_each() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(4):
        admitted(breaker, 0).failed(0, None)
    assert open_for(breaker, 0) == 5


def test_interrupted_answer_counts_as_failure_instead_of_success() -> None:
    breaker = Breaker(SETTINGS)
    for call in range(3):
        permit = admitted(breaker, 0)
        permit.succeeded(0)
        permit.failed(1, call)
    assert breaker.status(1) == BreakerStatus("closed", None, 3, 3, None)


def test_breaker_can_open_at_the_first_failure() -> None:
    breaker = Breaker(BreakerSettings(minimum_requests=1))
    fail(breaker, 5)
    assert open_for(breaker, 5) == 5


def test_one_probe_at_a_time_after_cooldown() -> None:
    breaker = opened_breaker(at=0)
    assert breaker.admit(4.9) is None
    assert breaker.status(5).state == "half_open"
    assert admitted(breaker, 5).is_probe
    assert not breaker.admits(10_000)
    assert breaker.admit(10_000) is None
    assert breaker.status(10_000) == BreakerStatus("half_open", "failures", 0, 0, 0)


def test_first_content_of_a_probe_closes_the_breaker() -> None:
    breaker = opened_breaker(at=0)
    admitted(breaker, 7).succeeded(8)
    assert breaker.status(8) == BreakerStatus("closed", None, 0, 1, None)
    fail(breaker, 9, 9, 9)
    assert open_for(breaker, 9) == 5, "the cooldown starts over"


def test_failed_probe_doubles_the_cooldown_up_to_the_maximum() -> None:
    breaker, now, seen = opened_breaker(at=0), 0.0, []
    for _ in range(5):
        wait = open_for(breaker, now)
        assert wait is not None
        seen.append(wait)
        now += wait
        fail(breaker, now)
    assert seen == [5, 10, 20, 30, 30]


def test_probe_with_a_call_that_failed_before_does_not_reopen_the_breaker() -> None:
    breaker = Breaker(SETTINGS)
    admitted(breaker, 0).failed(0, 7)
    fail(breaker, 0, 0, 0)
    admitted(breaker, 5).failed(5, 7)
    assert breaker.status(5).state == "half_open"
    assert breaker.admit(5.9) is None
    succeed(breaker, 6)
    assert breaker.status(6).state == "closed"


def test_released_probe_admits_the_next_one_a_second_after_it() -> None:
    breaker = opened_breaker(at=0)
    admitted(breaker, 5).release()
    assert breaker.status(5).state == "half_open"
    assert breaker.admit(5.9) is None
    admitted(breaker, 6).succeeded(6)
    assert breaker.status(6).state == "closed"


def test_last_resort_is_one_probe_each_second() -> None:
    breaker = opened_breaker(at=0)
    probed = [now / 10 for now in range(100) if breaker.admit(now / 10, last_resort=True)]
    assert probed == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_failed_last_resort_does_not_double_the_cooldown() -> None:
    breaker = opened_breaker(at=0)
    for now in range(1, 100):
        admitted(breaker, now, last_resort=True).failed(now, next(_calls))
    assert breaker.status(99).retry_in_s == 10


def test_last_resort_closes_the_breaker_although_an_earlier_one_hangs() -> None:
    breaker = opened_breaker(at=0)
    hanging = admitted(breaker, 1, last_resort=True)
    admitted(breaker, 2, last_resort=True).succeeded(3)
    assert breaker.status(3).state == "closed"
    hanging.failed(60, next(_calls))
    assert breaker.status(60) == CLOSED


def test_last_resort_makes_another_route_due_first() -> None:
    first, second = opened_breaker(at=0), opened_breaker(at=1)
    assert first.due_at() < second.due_at()
    admitted(first, 2, last_resort=True)
    assert second.due_at() < first.due_at()


def test_released_attempt_is_not_a_failure() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(10):
        admitted(breaker, 0).release()
    assert breaker.status(0) == CLOSED


ENDS: list[Callable[[Permit], None]] = [
    lambda permit: permit.failed(1, 1),
    lambda permit: permit.release(),
    lambda permit: permit.succeeded(1),
]


@pytest.mark.parametrize("first", ENDS[:2])
@pytest.mark.parametrize("then", ENDS)
def test_only_the_first_result_of_a_permit_counts(
    first: Callable[[Permit], None], then: Callable[[Permit], None]
) -> None:
    breaker = Breaker(BreakerSettings(minimum_requests=1))
    permit = admitted(breaker, 0)
    first(permit)
    before = breaker.status(2)
    then(permit)
    assert breaker.status(2) == before


def test_succeeded_may_be_called_twice() -> None:
    breaker = opened_breaker(at=0)
    probe = admitted(breaker, 5)
    probe.succeeded(5)
    fail(breaker, 6)
    probe.succeeded(7)
    assert breaker.status(7) == BreakerStatus("closed", None, 1, 2, None)


def test_leaving_the_block_releases_the_probe() -> None:
    breaker = opened_breaker(at=0)
    with pytest.raises(KeyError), admitted(breaker, 5):
        raise KeyError
    assert breaker.admits(6)
    with admitted(breaker, 6) as probe:
        probe.failed(6, next(_calls))
    assert open_for(breaker, 6) == 10


@pytest.mark.parametrize("end", ENDS)
def test_attempt_started_before_opening_changes_nothing(end: Callable[[Permit], None]) -> None:
    breaker = Breaker(SETTINGS)
    old = admitted(breaker, 0)
    fail(breaker, 0, 0, 0, 0)
    before = breaker.status(1)
    end(old)
    assert breaker.status(1) == before


@pytest.mark.parametrize("end", ENDS)
def test_attempt_started_before_opening_does_not_end_the_probe(
    end: Callable[[Permit], None],
) -> None:
    breaker = Breaker(SETTINGS)
    old = admitted(breaker, 0)
    fail(breaker, 0, 0, 0, 0)
    probe = admitted(breaker, 5)
    end(old)
    assert breaker.status(7).state == "half_open"
    assert not breaker.admits(7), "the probe is still in flight"
    probe.failed(7, next(_calls))
    assert open_for(breaker, 7) == 10


def test_attempt_started_before_opening_is_ignored_after_closing() -> None:
    breaker = Breaker(SETTINGS)
    old = [admitted(breaker, 0) for _ in range(4)]
    fail(breaker, 0, 0, 0, 0)
    admitted(breaker, 5).succeeded(5)
    for permit in old:
        permit.failed(6, next(_calls))
    assert breaker.status(6) == BreakerStatus("closed", None, 0, 1, None)


def test_breaker_opened_by_operator_stays_open_until_reset() -> None:
    breaker = Breaker(SETTINGS)
    breaker.open_as_operator()
    assert breaker.status(1e9) == BreakerStatus("open", "operator", 0, 0, None)
    assert breaker.admit(1e9) is None
    assert breaker.admit(1e9, last_resort=True) is None
    breaker.reset()
    assert breaker.status(1e9) == CLOSED


def test_failures_do_not_replace_operator() -> None:
    breaker = Breaker(SETTINGS)
    permits = [admitted(breaker, 0) for _ in range(4)]
    breaker.open_as_operator()
    for call, permit in enumerate(permits):
        permit.failed(1, call)
    assert breaker.status(1e9).reason == "operator"


def test_operator_can_open_a_half_open_breaker_with_a_probe() -> None:
    breaker = opened_breaker(at=0)
    probe = admitted(breaker, 5)
    breaker.open_as_operator()
    probe.succeeded(6)
    assert breaker.status(6).reason == "operator"
    assert breaker.admit(1e9) is None


def test_reset_clears_the_history() -> None:
    breaker = opened_breaker(at=0)
    fail(breaker, 5)
    probe = admitted(breaker, 15)
    breaker.reset()
    assert breaker.status(15) == CLOSED
    probe.failed(16, next(_calls))
    assert breaker.status(16) == CLOSED
    fail(breaker, 17, 17, 17, 17)
    assert open_for(breaker, 17) == 5
