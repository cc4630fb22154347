"""Tests of the circuit breaker: opening, probes, closing and stale permits."""

from collections.abc import Callable

import pytest

from actors.routing.breaker import (
    CREDIT_COOLDOWN_S,
    Breaker,
    BreakerSettings,
    BreakerStatus,
    OpenReason,
    Permit,
)

SETTINGS = BreakerSettings(failures=3, window_s=60, cooldown_s=60, cooldown_max_s=900)
CLOSED = BreakerStatus("closed", None, 0, None)


def admitted(breaker: Breaker, now: float) -> Permit:
    permit = breaker.admit(now)
    assert permit is not None
    return permit


def fail(breaker: Breaker, *times: float) -> None:
    for now in times:
        admitted(breaker, now).failed(now)


def opened_breaker(at: float = 0.0) -> Breaker:
    """Return a breaker that three failures opened."""
    breaker = Breaker(SETTINGS)
    fail(breaker, at, at, at)
    return breaker


def open_for(breaker: Breaker, now: float) -> float | None:
    """Check that the breaker is open and return the seconds until it admits a probe."""
    status = breaker.status(now)
    assert status.state == "open"
    assert breaker.admit(now) is None
    return status.retry_in_s


def test_default_settings() -> None:
    assert BreakerSettings() == SETTINGS


def test_new_breaker_admits_all_attempts() -> None:
    breaker = Breaker(SETTINGS)
    assert breaker.status(0) == CLOSED
    assert len({admitted(breaker, 0) for _ in range(100)}) == 100


def test_breaker_opens_at_the_configured_number_of_failures() -> None:
    breaker = Breaker(SETTINGS)
    fail(breaker, 0, 10)
    assert breaker.status(10) == BreakerStatus("closed", None, 2, None)
    fail(breaker, 59.5)
    assert breaker.status(59.5) == BreakerStatus("open", "failures", 3, 60)
    assert breaker.admit(59.5) is None


def test_failures_outside_the_window_do_not_open_the_breaker() -> None:
    breaker = Breaker(SETTINGS)
    fail(breaker, 0, 10, 60, 70, 120)
    assert breaker.status(120).state == "closed"
    assert breaker.status(120).failures == 2
    assert breaker.status(1000) == CLOSED


def test_successes_in_between_do_not_hide_failures() -> None:
    breaker = Breaker(SETTINGS)
    for now in (0, 1, 2):
        admitted(breaker, now).succeeded(now)
        fail(breaker, now)
    assert open_for(breaker, 2) == 60


def test_breaker_can_open_at_the_first_failure() -> None:
    breaker = Breaker(BreakerSettings(failures=1))
    fail(breaker, 5)
    assert open_for(breaker, 5) == 60


def test_one_probe_at_a_time_after_cooldown() -> None:
    breaker = opened_breaker(at=0)
    assert breaker.admit(59.9) is None
    assert breaker.status(60) == BreakerStatus("half_open", "failures", 0, 0)
    admitted(breaker, 60)
    assert not breaker.admits(60)
    assert breaker.admit(60) is None
    assert breaker.admit(10_000) is None
    assert breaker.status(10_000).state == "half_open"


def test_first_content_of_a_probe_closes_the_breaker() -> None:
    breaker = opened_breaker(at=0)
    admitted(breaker, 70).succeeded(71)
    assert breaker.status(71) == CLOSED
    assert breaker.admit(71) is not None
    fail(breaker, 72, 72)
    assert breaker.status(72).state == "closed", "earlier failures are cleared"


def test_failed_probe_doubles_the_cooldown_up_to_the_maximum() -> None:
    breaker, now, seen = opened_breaker(at=0), 0.0, []
    for _ in range(6):
        wait = open_for(breaker, now)
        assert wait is not None
        seen.append(wait)
        now += wait
        fail(breaker, now)
    assert seen == [60, 120, 240, 480, 900, 900]


def test_closing_restores_the_initial_cooldown() -> None:
    breaker = opened_breaker(at=0)
    fail(breaker, 60)
    assert open_for(breaker, 60) == 120
    admitted(breaker, 180).succeeded(180)
    fail(breaker, 180, 180, 180)
    assert open_for(breaker, 180) == 60


def test_released_probe_admits_the_next_one() -> None:
    breaker = opened_breaker(at=0)
    admitted(breaker, 60).release()
    assert breaker.status(60) == BreakerStatus("half_open", "failures", 0, 0)
    admitted(breaker, 60).succeeded(61)
    assert breaker.status(61) == CLOSED


def test_released_attempt_is_not_a_failure() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(10):
        admitted(breaker, 0).release()
    assert breaker.status(0) == CLOSED


def test_failure_after_content_counts() -> None:
    breaker = Breaker(SETTINGS)
    for now in (0, 1, 2):
        permit = admitted(breaker, now)
        permit.succeeded(now)
        permit.failed(now)
    assert open_for(breaker, 2) == 60


def test_probe_that_fails_after_content_counts_as_first_failure() -> None:
    breaker = opened_breaker(at=0)
    probe = admitted(breaker, 60)
    probe.succeeded(60)
    probe.failed(61)
    assert breaker.status(61) == BreakerStatus("closed", None, 1, None)


ENDS: list[Callable[[Permit], None]] = [
    lambda permit: permit.failed(1),
    lambda permit: permit.refused(1),
    lambda permit: permit.release(),
    lambda permit: permit.succeeded(1),
]


@pytest.mark.parametrize("first", ENDS[:3])
@pytest.mark.parametrize("then", ENDS)
def test_only_the_first_result_of_a_permit_counts(
    first: Callable[[Permit], None], then: Callable[[Permit], None]
) -> None:
    breaker = Breaker(BreakerSettings(failures=1))
    permit = admitted(breaker, 0)
    first(permit)
    before = breaker.status(2)
    then(permit)
    assert breaker.status(2) == before


def test_succeeded_may_be_called_twice() -> None:
    breaker = opened_breaker(at=0)
    probe = admitted(breaker, 60)
    probe.succeeded(60)
    fail(breaker, 61)
    probe.succeeded(62)
    assert breaker.status(62).failures == 1


def test_leaving_the_block_releases_the_probe() -> None:
    breaker = opened_breaker(at=0)
    with pytest.raises(KeyError), admitted(breaker, 60):
        raise KeyError
    assert breaker.admits(60)
    with admitted(breaker, 60) as probe:
        probe.failed(60)
    assert open_for(breaker, 60) == 120


@pytest.mark.parametrize("end", ENDS)
def test_attempt_started_before_opening_changes_nothing(end: Callable[[Permit], None]) -> None:
    breaker = Breaker(SETTINGS)
    old = admitted(breaker, 0)
    fail(breaker, 0, 0, 0)
    before = breaker.status(1)
    end(old)
    assert breaker.status(1) == before


@pytest.mark.parametrize("end", ENDS)
def test_attempt_started_before_opening_does_not_end_the_probe(
    end: Callable[[Permit], None],
) -> None:
    breaker = Breaker(SETTINGS)
    old = admitted(breaker, 0)
    fail(breaker, 0, 0, 0)
    probe = admitted(breaker, 60)
    end(old)
    assert breaker.status(60).state == "half_open"
    assert not breaker.admits(60), "the probe is still in flight"
    probe.failed(60)
    assert open_for(breaker, 60) == 120


def test_attempt_started_before_opening_is_ignored_after_closing() -> None:
    breaker = Breaker(SETTINGS)
    old = [admitted(breaker, 0) for _ in range(3)]
    fail(breaker, 0, 0, 0)
    admitted(breaker, 60).succeeded(60)
    for permit in old:
        permit.failed(61)
    assert breaker.status(61) == CLOSED


def test_refused_account_opens_the_breaker_at_once_for_an_hour() -> None:
    breaker = Breaker(SETTINGS)
    permit, other = admitted(breaker, 0), admitted(breaker, 0)
    permit.refused(1)
    assert breaker.status(1) == BreakerStatus("open", "credit", 0, CREDIT_COOLDOWN_S)
    other.refused(500)
    assert open_for(breaker, 500) == CREDIT_COOLDOWN_S - 499
    admitted(breaker, 1 + CREDIT_COOLDOWN_S).succeeded(3602)
    assert breaker.status(3602) == CLOSED


def test_refused_probe_waits_another_hour() -> None:
    breaker = Breaker(SETTINGS)
    for now in (0, CREDIT_COOLDOWN_S):
        admitted(breaker, now).refused(now)
        assert open_for(breaker, now) == CREDIT_COOLDOWN_S


def test_refused_account_does_not_change_the_failure_cooldown() -> None:
    breaker = Breaker(SETTINGS)
    admitted(breaker, 0).refused(0)
    fail(breaker, CREDIT_COOLDOWN_S)
    assert breaker.status(CREDIT_COOLDOWN_S).reason == "failures"
    assert open_for(breaker, CREDIT_COOLDOWN_S) == 60


def test_breaker_opened_by_operator_stays_open_until_reset() -> None:
    breaker = Breaker(SETTINGS)
    breaker.open("operator", 0)
    assert breaker.status(1e9) == BreakerStatus("open", "operator", 0, None)
    assert breaker.admit(1e9) is None
    breaker.reset()
    assert breaker.status(1e9) == CLOSED


@pytest.mark.parametrize("reason", ["failures", "credit"])
def test_no_other_reason_replaces_operator(reason: OpenReason) -> None:
    breaker = Breaker(SETTINGS)
    breaker.open("operator", 0)
    breaker.open(reason, 1)
    assert breaker.status(1e9).reason == "operator"
    assert breaker.admit(1e9) is None


def test_operator_can_open_a_half_open_breaker_with_a_probe() -> None:
    breaker = opened_breaker(at=0)
    probe = admitted(breaker, 60)
    breaker.open("operator", 61)
    probe.succeeded(62)
    assert breaker.status(62).reason == "operator"
    assert breaker.admit(1e9) is None


def test_reset_clears_the_history() -> None:
    breaker = opened_breaker(at=0)
    fail(breaker, 60)
    probe = admitted(breaker, 180)
    breaker.reset()
    assert breaker.status(180) == CLOSED
    probe.failed(181)
    assert breaker.status(181) == CLOSED
    fail(breaker, 182, 182, 182)
    assert open_for(breaker, 182) == 60
