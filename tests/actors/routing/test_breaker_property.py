"""Property test of the circuit breaker: concurrent attempts in any order at any time."""

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from actors.routing.breaker import (
    CREDIT_COOLDOWN_S,
    Breaker,
    BreakerSettings,
    BreakerStatus,
    Permit,
)
from tests.support.sizes import examples

FIRST_S, LONGEST_S, WINDOW_S = 4.0, 24.0, 6.0
STEPS = st.sampled_from([0.0, 0.5, 1.0, 3.0, 4.0, 6.0, 8.0, 30.0, CREDIT_COOLDOWN_S])
"""Time steps that are exact in binary and often hit deadlines to the instant."""


class Attempt:
    """A permit with its era and kind in the model."""

    def __init__(self, permit: Permit, *, is_probe: bool, era: int) -> None:
        self.permit = permit
        self.is_probe = is_probe
        self.era = era


class Breakers(RuleBasedStateMachine):
    """State machine that compares the breaker with a simpler model of it."""

    attempts: Bundle[Attempt] = Bundle("attempts")
    ended: Bundle[Attempt] = Bundle("ended")

    @initialize(failures=st.integers(1, 4), has_operator=st.booleans())
    def make(self, failures: int, has_operator: bool) -> None:
        self.failures = failures
        self.has_operator = has_operator
        self.breaker = Breaker(
            BreakerSettings(
                failures=failures,
                window_s=WINDOW_S,
                cooldown_s=FIRST_S,
                cooldown_max_s=LONGEST_S,
            )
        )
        self.now = 0.0
        self.era = 0
        self.reason: str | None = None
        self.open_until = 0.0
        self.failed_at: list[float] = []
        self.openings = 0
        """Number of openings because of failures since the breaker was last closed."""
        self.probe: Attempt | None = None

    def status(self) -> BreakerStatus:
        return self.breaker.status(self.now)

    def recent_failures(self) -> list[float]:
        return [at for at in self.failed_at if at > self.now - WINDOW_S]

    def open(self, reason: str, pause: float) -> None:
        self.reason, self.open_until = reason, self.now + pause
        self.era, self.probe = self.era + 1, None

    def close(self) -> None:
        self.reason, self.probe = None, None
        self.era += 1
        self.openings, self.failed_at = 0, []

    @rule(seconds=STEPS)
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.reason in {"failures", "credit"})
    @rule()
    def pass_cooldown(self) -> None:
        self.now = max(self.now, self.open_until)

    @rule(target=attempts)
    def admit(self) -> Attempt | MultipleResults[Attempt]:
        free = self.reason is None or (self.now >= self.open_until and self.probe is None)
        assert self.breaker.admits(self.now) is free
        permit = self.breaker.admit(self.now)
        assert (permit is not None) is free
        if permit is None:
            return multiple()
        attempt = Attempt(permit, is_probe=self.reason is not None, era=self.era)
        if attempt.is_probe:
            assert self.probe is None, "one probe at a time"
            self.probe = attempt
        return attempt

    @rule(attempt=attempts)
    def succeed(self, attempt: Attempt) -> None:
        attempt.permit.succeeded(self.now)
        if attempt is self.probe and attempt.era == self.era:
            self.close()
            attempt.era = self.era

    @rule(attempt=consumes(attempts), target=ended)
    def fail(self, attempt: Attempt) -> Attempt:
        attempt.permit.failed(self.now)
        if attempt.era == self.era:
            self.failed_at.append(self.now)
            if attempt is self.probe or len(self.recent_failures()) >= self.failures:
                self.open("failures", min(FIRST_S * 2**self.openings, LONGEST_S))
                self.openings += 1
        return attempt

    @rule(attempt=consumes(attempts), target=ended)
    def refuse(self, attempt: Attempt) -> Attempt:
        attempt.permit.refused(self.now)
        if attempt.era == self.era:
            self.open("credit", CREDIT_COOLDOWN_S)
        return attempt

    @rule(attempt=ended)
    def report_after_end(self, attempt: Attempt) -> None:
        before = self.status()
        attempt.permit.succeeded(self.now)
        attempt.permit.failed(self.now)
        attempt.permit.refused(self.now)
        attempt.permit.release()
        assert self.status() == before

    @rule(attempt=consumes(attempts), target=ended)
    def release(self, attempt: Attempt) -> Attempt:
        before = self.status()
        attempt.permit.release()
        assert self.status() == before
        if attempt is self.probe:
            self.probe = None
        return attempt

    @precondition(lambda self: self.has_operator)
    @rule()
    def open_as_operator(self) -> None:
        self.breaker.open("operator", self.now)
        if self.reason != "operator":
            self.open("operator", math.inf)

    @precondition(lambda self: self.has_operator)
    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        self.close()

    @rule()
    def is_admitted_after_retry_in_s(self) -> None:
        """Check that a permit is available after `retry_in_s`, without an operator or a probe."""
        if self.probe is None and self.reason != "operator":
            wait = self.status().retry_in_s or 0.0
            assert wait <= CREDIT_COOLDOWN_S
            assert self.breaker.admits(self.now + wait)
            assert not wait or not self.breaker.admits(self.now + wait - 0.25)

    @invariant()
    def status_matches_the_model(self) -> None:
        status = self.status()
        assert status.reason == self.reason
        if self.reason is None:
            assert status.state == "closed"
            assert status.retry_in_s is None
            assert status.failures == len(self.recent_failures()) < self.failures
            return
        left = max(0.0, self.open_until - self.now)
        assert status.state == ("open" if left else "half_open")
        assert status.retry_in_s == (None if math.isinf(left) else left)


Breakers.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=60)
TestBreakers = Breakers.TestCase
