"""Tests of a step's decisions: the retry table row by row, limits, and when it gives up."""

import math
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from actors.attempts.retry_policy import (
    MAX_ATTEMPTS,
    MAX_ATTEMPTS_PER_ROUTE,
    MAX_RETRY_AFTER_S,
    Blame,
    Failover,
    GiveUp,
    Try,
)
from actors.continuation.interruption import Interruption
from actors.routing.route_board import RouteChoice
from actors.turn.chunks import Chunk, TextChunk, ToolCallChunk
from actors.turn.model_call import Capabilities, FailureKind, Route, UpstreamFailure
from actors.turn.outcome import OnCut
from actors.turn.request import PlannedRoute, Timeouts, TurnRequest
from actors.turn.step import Step
from actors.usage.estimator import LearningEstimator
from tests.support.turn_fakes import a_request

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


def new_failover(request: TurnRequest, step: Step, jitter: float = 0.5) -> Failover:
    return Failover(Interruption(request, step.call), step, lambda: jitter)


def a_failover(jitter: float = 0.5, varied: Mapping[str, object] = {}) -> Failover:
    request = structs.replace(a_request(), **varied)
    return new_failover(request, Step(1, request.call), jitter)


def choice(*routes: PlannedRoute, retry_in_s: float | None = None) -> RouteChoice:
    return RouteChoice(routes, (), retry_in_s)


def run_attempts(
    failover: Failover, routes: Sequence[PlannedRoute], *failures: UpstreamFailure
) -> list[tuple[str, float]]:
    """Return the routes tried, each with the wait before it, for attempts that fail like this."""
    tried: list[tuple[str, float]] = []
    action = failover.begin(choice(*routes))
    for one in failures:
        if isinstance(action, Try):
            tried.append((action.planned.route.provider, action.wait_s))
            action = failover.failed(one, math.inf)
    if isinstance(action, Try):
        tried.append((action.planned.route.provider, action.wait_s))
    return tried


def routes_tried(*failures: UpstreamFailure) -> list[str]:
    return [name for name, _ in run_attempts(a_failover(), (MAIN, SPARE), *failures)]


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


def wait_after(failed: UpstreamFailure, jitter: float) -> float:
    (_, (_, wait_s)) = run_attempts(a_failover(jitter), (MAIN,), failed)
    return wait_s


def test_retry_after_is_never_shortened() -> None:
    for jitter in (0.0, 1.0):
        assert 2.0 <= wait_after(failure(K.REJECTED, 429, retry_after_s=2), jitter) <= 2.2


def test_backoff_doubles_and_stays_under_three_seconds() -> None:
    for jitter in (0.0, 1.0):
        tried = run_attempts(a_failover(jitter), (MAIN, SPARE), *[failure(K.REJECTED, 429)] * 3)
        (_, none), (_, first), (_, second), (spare, at_once) = tried
        assert (none, spare, at_once) == (0.0, "spare", 0.0)
        assert 0.3 <= first <= 0.7
        assert second == 2 * first
        assert first + second < 3


def test_lost_connection_is_retried_at_once() -> None:
    tried = run_attempts(a_failover(), (MAIN, SPARE), *[failure(K.REFUSED)] * 2)
    assert tried == [("main", 0.0), ("main", 0.0), ("spare", 0.0)]


def test_server_error_with_retry_after_is_waited_for() -> None:
    assert wait_after(failure(K.SERVER_ERROR, 503, retry_after_s=3), 0.0) == 3.0
    assert 0 < wait_after(failure(K.SERVER_ERROR, 503), 0.0) < 0.5


def test_wait_beyond_the_time_budget_is_skipped() -> None:
    busy = failure(K.REJECTED, 429, retry_after_s=2)
    failover = a_failover(0.0)
    assert failover.begin(choice(MAIN, SPARE)) == Try(MAIN)
    assert failover.failed(busy, 2.1) == Try(MAIN, 2.0)
    assert failover.failed(busy, 1.9) == Try(SPARE)


def test_other_keys_are_tried_at_once_within_the_limit() -> None:
    refused = failure(K.REJECTED, 401, another_key=True)
    assert routes_tried(*[refused] * 3) == ["main", "main", "main", "spare"]


def test_too_long_call_goes_only_to_a_larger_window() -> None:
    too_long = failure(K.REJECTED, 400, code="context_length_exceeded")
    routes = (a_route("main", 8000), a_route("small", 4000), a_route("same", 8000))
    large = a_route("large", 128_000)
    assert [n for n, _ in run_attempts(a_failover(), (*routes, large), too_long)] == [
        "main",
        "large",
    ]
    assert [n for n, _ in run_attempts(a_failover(), routes, too_long)] == ["main"]


def test_unknown_window_may_be_larger_except_for_the_same_model() -> None:
    too_long = failure(K.REJECTED, 400, code="context_length_exceeded")
    twin = PlannedRoute(Route("twin", "main-model"), Timeouts())
    tried = run_attempts(a_failover(), (MAIN, twin, SPARE), too_long)
    assert [name for name, _ in tried] == ["main", "spare"]


def after_content(*chunks: Chunk, **varied: object) -> Failover:
    """Return the decisions of a step whose first attempt has passed these chunks on."""
    failover = a_failover(varied=varied)
    failover.begin(choice(MAIN, SPARE))
    failover.interruption.seen = True
    for chunk in chunks:
        failover.interruption.shown.note(chunk)
    return failover


def gives_up(failover: Failover, failed: UpstreamFailure) -> UpstreamFailure:
    action = failover.failed(failed, math.inf)
    assert isinstance(action, GiveUp)
    return action.failure


def test_rejection_of_a_continuation_does_not_stop_retries() -> None:
    failover = after_content(TextChunk("a"))
    assert failover.failed(failure(K.REJECTED, 400), math.inf) == Try(SPARE)


def test_skipped_route_does_not_count_as_an_attempt() -> None:
    failover = a_failover()
    failover.begin(choice(MAIN, SPARE))
    assert failover.skipped(None) == Try(SPARE)
    assert isinstance(failover.skipped(None), GiveUp)


def test_step_without_any_attempt_says_when_to_retry() -> None:
    failover = a_failover()
    failover.begin(choice(MAIN))
    for action in (a_failover().begin(choice(retry_in_s=12.0)), failover.skipped(12.0)):
        assert isinstance(action, GiveUp)
        assert (action.failure.kind, action.failure.retry_after_s) == (K.BUSY, 12.0)


def test_request_that_no_route_supports_is_rejected() -> None:
    request = a_request()
    step = Step(1, request.call)
    step.skip(MAIN.route, "no_images", 0.0)
    action = new_failover(request, step).begin(choice())
    assert isinstance(action, GiveUp)
    assert (action.failure.kind, action.failure.status) == (K.REJECTED, 400)


def test_last_failure_is_the_clients_failure() -> None:
    failover = a_failover()
    failover.begin(choice(MAIN, SPARE))
    failover.failed(failure(K.FIRST_BYTE_TIMEOUT), math.inf)
    last = failure(K.REJECTED, 400)
    assert gives_up(failover, last) is last


def test_interruption_is_the_clients_failure_if_continuing_fails() -> None:
    failover = after_content(TextChunk("a"))
    failover.failed(failure(K.TRUNCATED), math.inf)
    failed = gives_up(failover, failure(K.FIRST_BYTE_TIMEOUT))
    assert failed.kind is K.TRUNCATED
    assert "could not be continued" in failed.message


@pytest.mark.parametrize(
    "failover",
    [
        after_content(TextChunk("a"), on_cut=OnCut.FAIL),
        after_content(TextChunk("a"), on_cut=OnCut.RESTART),
        after_content(ToolCallChunk(0, "a", "f", "{")),
    ],
    ids=["fail", "restart after text", "tool call"],
)
def test_interrupted_answer_that_cannot_be_continued_ends_the_step(failover: Failover) -> None:
    cut = failure(K.TRUNCATED)
    assert gives_up(failover, cut) is cut


def test_answer_that_no_client_has_seen_is_restarted() -> None:
    failover = after_content(TextChunk("a"), replaceable=True)
    assert failover.failed(failure(K.TRUNCATED), math.inf) == Try(SPARE)
    assert failover.interruption.take_restart() == "truncated"
    assert failover.interruption.shown.text == ""
    assert not failover.interruption.seen


def test_refused_prefill_is_followed_by_another_call_to_the_same_route() -> None:
    failover = after_content(TextChunk("a"))
    assert failover.failed(failure(K.TRUNCATED), math.inf) == Try(SPARE)
    failover.interruption.call_for(SPARE.route, LearningEstimator(), prefill=True)
    refused = failure(K.REJECTED, 400)
    assert failover.blame(refused) is Blame.PREFILL
    assert failover.failed(refused, math.inf) == Try(SPARE)
    failover.interruption.call_for(SPARE.route, LearningEstimator(), prefill=False)
    assert failover.blame(refused) is None
    assert isinstance(failover.failed(refused, math.inf), GiveUp)


@pytest.mark.parametrize(
    ("failed", "blame"),
    [
        (failure(K.REFUSED), Blame.ROUTE),
        (failure(K.SERVER_ERROR, 500), Blame.ROUTE),
        (failure(K.FIRST_TOKEN_TIMEOUT), Blame.ROUTE),
        (failure(K.TRUNCATED), Blame.ROUTE),
        (failure(K.REJECTED, 401, another_key=True), None),
        (failure(K.REJECTED, 400), None),
        (failure(K.REJECTED, 429), None),
    ],
)
def test_failure_counts_against(failed: UpstreamFailure, blame: Blame | None) -> None:
    failover = a_failover()
    failover.begin(choice(MAIN, SPARE))
    assert failover.blame(failed) is blame


@pytest.mark.parametrize("cut", [K.TRUNCATED, K.IN_STREAM_ERROR, K.MALFORMED])
def test_sole_route_is_asked_again_after_a_cut_before_content(cut: FailureKind) -> None:
    tried = run_attempts(a_failover(), (MAIN,), *[failure(cut)] * 4)
    assert [name for name, _ in tried] == ["main"] * MAX_ATTEMPTS_PER_ROUTE
    assert all(0 < wait < 0.5 for _, wait in tried[1:])


def test_last_route_is_asked_again_after_a_cut() -> None:
    assert routes_tried(*[failure(K.TRUNCATED)] * 5) == ["main", "spare", "spare", "spare"]


def test_sole_route_is_asked_again_for_a_call_that_does_not_stream() -> None:
    failover = a_failover(varied={"replaceable": True})
    failover.begin(choice(MAIN))
    failover.interruption.seen = True
    action = failover.failed(failure(K.TRUNCATED), math.inf)
    assert isinstance(action, Try)
    assert action.planned is MAIN
    failover.interruption.seen = True
    failover.failed(failure(K.TRUNCATED), math.inf)
    last = failure(K.IDLE_TIMEOUT)
    assert gives_up(failover, last) is last, "a restarted answer was not continued"


def test_sole_route_is_not_asked_to_continue_a_streamed_answer() -> None:
    failover = a_failover()
    failover.begin(choice(MAIN))
    failover.interruption.seen = True
    failover.interruption.shown.note(TextChunk("a"))
    assert isinstance(failover.failed(failure(K.TRUNCATED), math.inf), GiveUp)


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
    failover = a_failover(jitter)
    if continuing:
        failover.interruption.seen = True
    tried = run_attempts(failover, routes, *failures)
    order = [name for name, _ in tried]
    assert len(order) <= MAX_ATTEMPTS
    assert all(order.count(route.route.provider) <= MAX_ATTEMPTS_PER_ROUTE for route in routes)
    assert all(0 <= wait <= MAX_RETRY_AFTER_S * 1.1 for _, wait in tried)
    places = [[route.route.provider for route in routes].index(name) for name in order]
    assert places == sorted(places), "a route was tried again after a later one"
