"""Tests of the retry table, row by row, and of the limits on retries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.attempts.retry_policy import (
    MAX_ATTEMPTS,
    MAX_ATTEMPTS_PER_ROUTE,
    MAX_RETRY_AFTER_S,
    Retries,
)
from actors.turn.model_call import Capabilities, FailureKind, Route, UpstreamFailure
from actors.turn.request import PlannedRoute, Timeouts

K = FailureKind


def a_route(name: str, window: int | None = None) -> PlannedRoute:
    capabilities = Capabilities(context_window=window)
    return PlannedRoute(Route(name, f"{name}-model"), Timeouts(), capabilities)


MAIN, SPARE, LAST = a_route("main"), a_route("spare"), a_route("last")


def failure(
    kind: FailureKind,
    status: int | None = None,
    *,
    code: str | None = None,
    retry_after_s: float | None = None,
    another_key: bool = False,
) -> UpstreamFailure:
    return UpstreamFailure(
        kind, "", status=status, code=code, retry_after_s=retry_after_s, another_key=another_key
    )


def run_attempts(
    retries: Retries, *failures: UpstreamFailure, continuing: bool = False
) -> list[tuple[str, float]]:
    """Return the routes tried, each with the wait before it, for attempts that fail like this."""
    tried: list[tuple[str, float]] = []
    wait = 0.0
    for one in failures:
        if retries.route is None:
            break
        tried.append((retries.route.route.provider, wait))
        retries.attempt_started()
        wait = retries.after(one, continuing=continuing)
    if retries.route is not None:
        tried.append((retries.route.route.provider, wait))
    return tried


def routes_tried(*failures: UpstreamFailure) -> list[str]:
    return [name for name, _ in run_attempts(Retries((MAIN, SPARE), lambda: 0.5), *failures)]


ROWS: list[tuple[UpstreamFailure, int, bool]] = [
    # failure, attempts on the first route, True if the second one is tried
    (failure(K.REFUSED), 2, True),
    (failure(K.REJECTED, 429, retry_after_s=2), 3, True),
    (failure(K.REJECTED, 429, retry_after_s=5.1), 1, True),
    (failure(K.REJECTED, 429), 3, True),
    (failure(K.SERVER_ERROR, 500), 2, True),
    (failure(K.SERVER_ERROR, 502), 2, True),
    (failure(K.SERVER_ERROR, 503), 2, True),
    (failure(K.SERVER_ERROR, 529), 2, True),
    (failure(K.SERVER_ERROR, 504), 1, True),
    (failure(K.FIRST_BYTE_TIMEOUT), 1, True),
    (failure(K.FIRST_TOKEN_TIMEOUT), 1, True),
    (failure(K.REJECTED, 400, code="context_length_exceeded"), 1, True),
    (failure(K.REJECTED, 400, code="content_policy_violation"), 1, False),
    (failure(K.REJECTED, 401), 1, True),
    (failure(K.REJECTED, 402), 1, True),
    (failure(K.REJECTED, 403), 1, True),
    (failure(K.REJECTED, 429, code="insufficient_quota"), 1, True),
    (failure(K.REJECTED, 400), 1, False),
    (failure(K.REJECTED, 404), 1, False),
    (failure(K.TRUNCATED), 1, True),
    (failure(K.IDLE_TIMEOUT), 1, True),
    (failure(K.IN_STREAM_ERROR), 1, True),
    (failure(K.MALFORMED), 1, True),
]


@pytest.mark.parametrize(("failed", "tries", "spare"), ROWS)
def test_retry_table_row(failed: UpstreamFailure, tries: int, spare: bool) -> None:
    tried = routes_tried(*[failed] * tries)
    assert tried == ["main"] * tries + ["spare"] * spare


def test_retry_after_is_never_shortened() -> None:
    for jitter in (0.0, 1.0):
        retries = Retries((MAIN,), lambda value=jitter: value)  # type: ignore[misc]
        retries.attempt_started()
        waited = retries.after(failure(K.REJECTED, 429, retry_after_s=2))
        assert 2.0 <= waited <= 2.2


def test_backoff_doubles_and_stays_under_three_seconds() -> None:
    for jitter in (0.0, 1.0):
        retries = Retries((MAIN, SPARE), lambda value=jitter: value)  # type: ignore[misc]
        tried = run_attempts(retries, *[failure(K.REJECTED, 429)] * 3)
        (_, none), (_, first), (_, second), (spare, at_once) = tried
        assert (none, spare, at_once) == (0.0, "spare", 0.0)
        assert 0.3 <= first <= 0.7
        assert second == 2 * first
        assert first + second < 3


def test_lost_connection_is_retried_at_once() -> None:
    tried = run_attempts(Retries((MAIN, SPARE), lambda: 0.5), *[failure(K.REFUSED)] * 2)
    assert tried == [("main", 0.0), ("main", 0.0), ("spare", 0.0)]


def test_server_error_with_retry_after_is_waited_for() -> None:
    retries = Retries((MAIN,), lambda: 0.0)
    retries.attempt_started()
    assert retries.after(failure(K.SERVER_ERROR, 503, retry_after_s=3)) == 3.0
    retries = Retries((MAIN,), lambda: 0.0)
    retries.attempt_started()
    assert 0 < retries.after(failure(K.SERVER_ERROR, 503)) < 0.5


def test_wait_beyond_the_time_budget_is_skipped() -> None:
    busy = failure(K.REJECTED, 429, retry_after_s=2)
    retries = Retries((MAIN, SPARE), lambda: 0.0)
    retries.attempt_started()
    assert (retries.after(busy, left_s=2.1), retries.route) == (2.0, MAIN)
    retries.attempt_started()
    assert (retries.after(busy, left_s=1.9), retries.route) == (0.0, SPARE)


def test_other_keys_are_tried_at_once_within_the_limit() -> None:
    refused = failure(K.REJECTED, 401, another_key=True)
    assert routes_tried(*[refused] * 3) == ["main", "main", "main", "spare"]


def test_too_long_call_goes_only_to_a_larger_window() -> None:
    too_long = failure(K.REJECTED, 400, code="context_length_exceeded")
    routes = (a_route("main", 8000), a_route("small", 4000), a_route("same", 8000))
    large = a_route("large", 128_000)
    assert [n for n, _ in run_attempts(Retries((*routes, large), lambda: 0.5), too_long)] == [
        "main",
        "large",
    ]
    assert [n for n, _ in run_attempts(Retries(routes, lambda: 0.5), too_long)] == ["main"]


def test_unknown_window_may_be_larger_except_for_the_same_model() -> None:
    too_long = failure(K.REJECTED, 400, code="context_length_exceeded")
    twin = PlannedRoute(Route("twin", "main-model"), Timeouts())
    tried = run_attempts(Retries((MAIN, twin, SPARE), lambda: 0.5), too_long)
    assert [name for name, _ in tried] == ["main", "spare"]


def test_rejection_of_a_continuation_does_not_stop_retries() -> None:
    refused = failure(K.REJECTED, 400)
    tried = run_attempts(Retries((MAIN, SPARE), lambda: 0.5), refused, continuing=True)
    assert [name for name, _ in tried] == ["main", "spare"]


def test_skipped_route_does_not_count_as_an_attempt() -> None:
    retries = Retries((MAIN, SPARE), lambda: 0.5)
    retries.skip_route()
    assert retries.route is SPARE
    retries.skip_route()
    assert retries.route is None


FAILURES = st.builds(
    failure,
    st.sampled_from(FailureKind),
    st.sampled_from([None, 200, 400, 401, 408, 429, 500, 503, 504, 529]),
    code=st.sampled_from([None, "context_length_exceeded", "content_policy_violation"]),
    retry_after_s=st.sampled_from([None, 0.0, 2.0, 5.0, 60.0]),
    another_key=st.booleans(),
)


@given(
    failures=st.lists(FAILURES, min_size=12, max_size=12),
    routes=st.lists(st.sampled_from([MAIN, SPARE, LAST]), unique=True, max_size=3),
    jitter=st.floats(0, 1),
    continuing=st.booleans(),
)
def test_no_sequence_of_failures_exceeds_the_limits(
    failures: list[UpstreamFailure],
    routes: list[PlannedRoute],
    jitter: float,
    continuing: bool,
) -> None:
    tried = run_attempts(Retries(routes, lambda: jitter), *failures, continuing=continuing)
    order = [name for name, _ in tried]
    assert len(order) <= MAX_ATTEMPTS
    assert all(order.count(route.route.provider) <= MAX_ATTEMPTS_PER_ROUTE for route in routes)
    assert all(0 <= wait <= MAX_RETRY_AFTER_S * 1.1 for _, wait in tried)
    places = [[route.route.provider for route in routes].index(name) for name in order]
    assert places == sorted(places), "a route was tried again after a later one"
