"""The retry table, row by row, and the bounds that no sequence of failures gets past."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.base import Capabilities, FailureKind, Route, UpstreamFailure
from actors.retry import LONGEST_WAIT_S, MOST_IN_ALL, MOST_ON_ONE_ROUTE, Retries
from actors.timeouts import Timeouts
from actors.turn import PlannedRoute

K = FailureKind


def planned(name: str, window: int | None = None) -> PlannedRoute:
    capabilities = Capabilities(context_window=window)
    return PlannedRoute(Route(name, f"{name}-model"), Timeouts(), capabilities)


MAIN, SPARE, LAST = planned("main"), planned("spare"), planned("last")


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


def play(
    retries: Retries, *failures: UpstreamFailure, continuing: bool = False
) -> list[tuple[str, float]]:
    """The routes asked, each with the wait before it, if every attempt fails like this."""
    asked: list[tuple[str, float]] = []
    wait = 0.0
    for one in failures:
        if retries.route is None:
            break
        asked.append((retries.route.route.provider, wait))
        retries.begun()
        wait = retries.after(one, continuing=continuing)
    if retries.route is not None:
        asked.append((retries.route.route.provider, wait))
    return asked


def names(*failures: UpstreamFailure) -> list[str]:
    return [name for name, _ in play(Retries((MAIN, SPARE), lambda: 0.5), *failures)]


ROWS: list[tuple[UpstreamFailure, int, bool]] = [
    # failure, tries on the first route, whether the second one is asked
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
def test_a_row(failed: UpstreamFailure, tries: int, spare: bool) -> None:
    asked = names(*[failed] * tries)
    assert asked == ["main"] * tries + ["spare"] * spare


def test_what_was_told_is_waited_and_never_less() -> None:
    for jitter in (0.0, 1.0):
        retries = Retries((MAIN,), lambda value=jitter: value)  # type: ignore[misc]
        retries.begun()
        waited = retries.after(failure(K.REJECTED, 429, retry_after_s=2))
        assert 2.0 <= waited <= 2.2


def test_without_a_word_the_waits_double_and_stay_under_three_seconds() -> None:
    for jitter in (0.0, 1.0):
        retries = Retries((MAIN, SPARE), lambda value=jitter: value)  # type: ignore[misc]
        asked = play(retries, *[failure(K.REJECTED, 429)] * 3)
        (_, none), (_, first), (_, second), (spare, at_once) = asked
        assert (none, spare, at_once) == (0.0, "spare", 0.0)
        assert 0.3 <= first <= 0.7
        assert second == 2 * first
        assert first + second < 3


def test_a_lost_connection_is_made_again_at_once() -> None:
    asked = play(Retries((MAIN, SPARE), lambda: 0.5), *[failure(K.REFUSED)] * 2)
    assert asked == [("main", 0.0), ("main", 0.0), ("spare", 0.0)]


def test_an_error_of_the_server_waits_as_long_as_it_says() -> None:
    retries = Retries((MAIN,), lambda: 0.0)
    retries.begun()
    assert retries.after(failure(K.SERVER_ERROR, 503, retry_after_s=3)) == 3.0
    retries = Retries((MAIN,), lambda: 0.0)
    retries.begun()
    assert 0 < retries.after(failure(K.SERVER_ERROR, 503)) < 0.5


def test_a_wait_that_would_outlast_the_time_budget_is_not_begun() -> None:
    busy = failure(K.REJECTED, 429, retry_after_s=2)
    retries = Retries((MAIN, SPARE), lambda: 0.0)
    retries.begun()
    assert (retries.after(busy, left_s=2.1), retries.route) == (2.0, MAIN)
    retries.begun()
    assert (retries.after(busy, left_s=1.9), retries.route) == (0.0, SPARE)


def test_another_key_is_tried_at_once_and_within_the_bound() -> None:
    refused = failure(K.REJECTED, 401, another_key=True)
    assert names(*[refused] * 3) == ["main", "main", "main", "spare"]


def test_a_call_that_is_too_long_goes_to_a_larger_window_only() -> None:
    too_long = failure(K.REJECTED, 400, code="context_length_exceeded")
    routes = (planned("main", 8000), planned("small", 4000), planned("same", 8000))
    large = planned("large", 128_000)
    assert [n for n, _ in play(Retries((*routes, large), lambda: 0.5), too_long)] == [
        "main",
        "large",
    ]
    assert [n for n, _ in play(Retries(routes, lambda: 0.5), too_long)] == ["main"]


def test_an_unknown_window_may_be_larger_unless_it_is_the_same_model() -> None:
    too_long = failure(K.REJECTED, 400, code="context_length_exceeded")
    twin = PlannedRoute(Route("twin", "main-model"), Timeouts())
    asked = play(Retries((MAIN, twin, SPARE), lambda: 0.5), too_long)
    assert [name for name, _ in asked] == ["main", "spare"]


def test_while_continuing_no_refusal_is_the_last_word() -> None:
    refused = failure(K.REJECTED, 400)
    asked = play(Retries((MAIN, SPARE), lambda: 0.5), refused, continuing=True)
    assert [name for name, _ in asked] == ["main", "spare"]


def test_a_route_that_cannot_be_asked_costs_no_attempt() -> None:
    retries = Retries((MAIN, SPARE), lambda: 0.5)
    retries.passed_over()
    assert retries.route is SPARE
    retries.passed_over()
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
def test_no_failures_get_past_the_bounds(
    failures: list[UpstreamFailure],
    routes: list[PlannedRoute],
    jitter: float,
    continuing: bool,
) -> None:
    asked = play(Retries(routes, lambda: jitter), *failures, continuing=continuing)
    order = [name for name, _ in asked]
    assert len(order) <= MOST_IN_ALL
    assert all(order.count(route.route.provider) <= MOST_ON_ONE_ROUTE for route in routes)
    assert all(0 <= wait <= LONGEST_WAIT_S * 1.1 for _, wait in asked)
    places = [[route.route.provider for route in routes].index(name) for name in order]
    assert places == sorted(places), "a route that was left is not asked again"
