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
    PROBE_EVERY_S,
    Breaker,
    BreakerSettings,
    BreakerStatus,
    Permit,
)
from tests.support.sizes import examples

FIRST_S, LONGEST_S, WINDOW_S = 4.0, 24.0, 5.0
STEPS = st.sampled_from([0.0, 0.5, 1.0, 3.0, 4.0, 5.0, 8.0, 30.0])
"""Time steps that are exact in binary and often hit deadlines to the instant."""


class Attempt:
    """A permit with its era and kind in the model."""

    def __init__(self, permit: Permit, *, is_probe: bool, era: int) -> None:
        self.permit = permit
        self.is_probe = is_probe
        self.era = era
        self.success = (math.nan, "")


class Breakers(RuleBasedStateMachine):
    """State machine that compares the breaker with a simpler model of it."""

    attempts: Bundle[Attempt] = Bundle("attempts")
    ended: Bundle[Attempt] = Bundle("ended")

    @initialize(
        share=st.sampled_from([0.25, 0.5, 1.0]),
        minimum=st.integers(1, 4),
        has_operator=st.booleans(),
    )
    def make(self, share: float, minimum: int, has_operator: bool) -> None:
        self.share, self.minimum = share, minimum
        self.has_operator = has_operator
        self.breaker = Breaker(
            BreakerSettings(
                failure_share=share,
                minimum_requests=minimum,
                window_s=WINDOW_S,
                cooldown_s=FIRST_S,
                cooldown_max_s=LONGEST_S,
            )
        )
        self.now = 0.0
        self.era = 0
        self.reason: str | None = None
        self.open_until = self.probe_at = 0.0
        self.outcomes: list[tuple[float, str]] = []
        """Time and call of each outcome; the call of a success is empty."""
        self.openings = 0
        """Number of openings because of failures since the breaker was last closed."""
        self.has_probe = False
        self.in_a_row = 0
        """Number of failures since the last success."""
        self.running: list[Attempt] = []
        """Attempts of this era without content or end, oldest first."""

    def status(self) -> BreakerStatus:
        return self.breaker.status(self.now)

    def recent(self) -> list[str]:
        since = self.now - WINDOW_S
        # Successes are counted in slices of half a second, which is the smallest time step.
        return [call for at, call in self.outcomes if at > since]

    def cooldown(self) -> float:
        return min(math.ldexp(FIRST_S, self.openings), LONGEST_S)

    def open(self) -> None:
        self.reason, self.open_until = "failures", self.now + self.cooldown()
        self.probe_at = self.now + PROBE_EVERY_S
        self.begin_era()
        self.openings += 1

    def close(self) -> None:
        self.reason = None
        self.begin_era()
        self.openings, self.outcomes, self.in_a_row = 0, [], 0

    def begin_era(self) -> None:
        self.era, self.has_probe, self.running = self.era + 1, False, []

    def stop_running(self, attempt: Attempt) -> None:
        if attempt in self.running:
            self.running.remove(attempt)

    @rule(seconds=STEPS)
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.reason == "failures")
    @rule()
    def pass_cooldown(self) -> None:
        self.now = max(self.now, self.open_until)

    @rule(target=attempts, last_resort=st.booleans())
    def admit(self, last_resort: bool) -> Attempt | MultipleResults[Attempt]:
        due = last_resort or (self.now >= self.open_until and not self.has_probe)
        paced = self.reason == "failures" and self.now >= self.probe_at
        free = self.reason is None or (paced and due)
        assert self.breaker.admits(self.now, last_resort=last_resort) is free
        permit = self.breaker.admit(self.now, last_resort=last_resort)
        assert (permit is not None) is free
        if permit is None:
            return multiple()
        attempt = Attempt(permit, is_probe=self.reason is not None, era=self.era)
        assert permit.is_probe is attempt.is_probe
        if attempt.is_probe:
            self.has_probe, self.probe_at = True, self.now + PROBE_EVERY_S
            if last_resort:
                self.open_until = max(self.open_until, self.now + self.cooldown())
        self.running.append(attempt)
        return attempt

    @rule(attempt=attempts)
    def succeed(self, attempt: Attempt) -> None:
        attempt.permit.succeeded(self.now)
        if not math.isnan(attempt.success[0]):
            return
        attempt.success = (self.now, "")
        if attempt.era == self.era:
            if self.reason is not None:
                self.close()
                attempt.era = self.era
            self.stop_running(attempt)
            self.outcomes.append(attempt.success)
            self.in_a_row = 0

    @rule(attempt=consumes(attempts), call=st.integers(0, 5), target=ended)
    def fail(self, attempt: Attempt, call: int) -> Attempt:
        attempt.permit.failed(self.now, call)
        if attempt.era != self.era:
            return attempt
        older = self.running.index(attempt) if attempt in self.running else len(self.running)
        self.stop_running(attempt)
        if attempt.success in self.outcomes:
            self.outcomes.remove(attempt.success)
        is_new = str(call) not in self.recent()
        if is_new:
            self.outcomes.append((self.now, str(call)))
            self.in_a_row += 1
        if self.reason is not None:
            self.has_probe = False
            if is_new and self.now >= self.open_until:
                self.open()
        elif self.fails_too_often(older):
            self.open()
        return attempt

    def fails_too_often(self, older: int) -> bool:
        """Return whether the failure opens the breaker; `older` calls may still succeed."""
        recent = self.recent()
        failures = sum(map(bool, recent))
        row = min(self.in_a_row, failures)
        by_share = len(recent) >= self.minimum and failures >= self.share * len(recent)
        by_row = row >= 4 * self.minimum
        certain = failures >= self.share * (len(recent) + older)
        return (by_share or by_row) and (certain or (by_row and row >= older))

    @rule(attempt=consumes(attempts), target=ended)
    def retry(self, attempt: Attempt) -> Attempt:
        attempt.permit.retried()
        self.stop_running(attempt)
        if attempt.era == self.era and attempt.success in self.outcomes:
            self.outcomes.remove(attempt.success)
        return attempt

    @rule(attempt=ended)
    def report_after_end(self, attempt: Attempt) -> None:
        before = self.status()
        attempt.permit.succeeded(self.now)
        attempt.permit.failed(self.now, 9)
        attempt.permit.release()
        assert self.status() == before

    @rule(attempt=consumes(attempts), target=ended)
    def release(self, attempt: Attempt) -> Attempt:
        before = self.status()
        attempt.permit.release()
        assert self.status() == before
        self.stop_running(attempt)
        if attempt.is_probe and attempt.era == self.era:
            self.has_probe = False
        return attempt

    @precondition(lambda self: self.has_operator)
    @rule()
    def open_as_operator(self) -> None:
        self.breaker.open_as_operator()
        self.reason, self.open_until = "operator", math.inf
        self.begin_era()

    @precondition(lambda self: self.has_operator)
    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        self.close()

    @invariant()
    def status_matches_the_model(self) -> None:
        status, recent = self.status(), self.recent()
        assert status.reason == self.reason
        assert (status.failures, status.calls) == (sum(map(bool, recent)), len(recent))
        if self.reason is None:
            assert status.state == "closed"
            assert status.retry_in_s is None
            return
        left = max(0.0, self.open_until - self.now)
        assert status.state == ("open" if left else "half_open")
        assert status.retry_in_s == (None if math.isinf(left) else left)


Breakers.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=60)
TestBreakers = Breakers.TestCase
