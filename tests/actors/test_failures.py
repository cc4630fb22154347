"""What every kind of failure means: the turn's reason, and what the client is told."""

import pytest

from actors.failures import client_error, not_continued, nothing_asked
from actors.ledger import Ledger
from actors.outcome import Reason
from actors.providers.base import FailureKind, Route, UpstreamFailure, failure_reason

K = FailureKind
OURS = "upstream_error"
THEIRS = "invalid_request_error"

TABLE: list[tuple[FailureKind, int | None, Reason, int, str]] = [
    # kind, upstream status → reason, client's status, error type
    (K.REFUSED, None, Reason.UPSTREAM_UNREACHABLE, 502, OURS),
    (K.CONNECT_TIMEOUT, None, Reason.UPSTREAM_TIMEOUT, 504, OURS),
    (K.FIRST_BYTE_TIMEOUT, None, Reason.UPSTREAM_TIMEOUT, 504, OURS),
    (K.FIRST_TOKEN_TIMEOUT, None, Reason.UPSTREAM_TIMEOUT, 504, OURS),
    (K.IDLE_TIMEOUT, None, Reason.UPSTREAM_TIMEOUT, 504, OURS),
    (K.REJECTED, None, Reason.UPSTREAM_REJECTED, 502, OURS),
    (K.REJECTED, 400, Reason.UPSTREAM_REJECTED, 400, THEIRS),
    (K.REJECTED, 401, Reason.UPSTREAM_REJECTED, 502, OURS),
    (K.REJECTED, 402, Reason.UPSTREAM_REJECTED, 502, OURS),
    (K.REJECTED, 403, Reason.UPSTREAM_REJECTED, 502, OURS),
    (K.REJECTED, 404, Reason.UPSTREAM_REJECTED, 404, THEIRS),
    (K.REJECTED, 408, Reason.UPSTREAM_REJECTED, 408, THEIRS),
    (K.REJECTED, 413, Reason.UPSTREAM_REJECTED, 413, THEIRS),
    (K.REJECTED, 422, Reason.UPSTREAM_REJECTED, 422, THEIRS),
    (K.REJECTED, 429, Reason.UPSTREAM_REJECTED, 429, THEIRS),
    (K.SERVER_ERROR, 500, Reason.UPSTREAM_ERROR, 502, OURS),
    (K.SERVER_ERROR, 503, Reason.UPSTREAM_ERROR, 503, OURS),
    (K.SERVER_ERROR, None, Reason.UPSTREAM_ERROR, 502, OURS),
    (K.IN_STREAM_ERROR, None, Reason.UPSTREAM_ERROR, 502, OURS),
    (K.MALFORMED, None, Reason.UPSTREAM_ERROR, 502, OURS),
    (K.TRUNCATED, None, Reason.UPSTREAM_TRUNCATED, 502, OURS),
    (K.MISFIT, None, Reason.UPSTREAM_ERROR, 502, OURS),
    (K.BUSY, None, Reason.UPSTREAM_UNREACHABLE, 503, OURS),
]


@pytest.mark.parametrize(("kind", "status", "reason", "told", "type"), TABLE)
def test_a_row(kind: FailureKind, status: int | None, reason: Reason, told: int, type: str) -> None:
    failure = UpstreamFailure(kind, "words", status=status)
    assert failure_reason(kind) is reason
    error = client_error(failure)
    assert (error.status, error.type, error.message) == (told, type, "words")
    assert error.code == kind.value


def test_the_table_is_complete() -> None:
    assert {row[0] for row in TABLE} == set(FailureKind)


def test_of_the_clients_own_mistake_everything_is_told() -> None:
    failure = UpstreamFailure(
        K.REJECTED,
        "too long",
        status=400,
        code="context_length",
        type="bad_request",
        param="messages",
    )
    error = client_error(failure)
    assert (error.code, error.type, error.param) == ("context_length", "bad_request", "messages")


def test_of_our_own_mistake_the_parameter_is_not() -> None:
    failure = UpstreamFailure(K.REJECTED, "bad key", status=401, type="auth", param="key")
    error = client_error(failure)
    assert (error.type, error.param) == ("upstream_error", None)


def test_when_to_come_back_is_passed_on() -> None:
    failure = UpstreamFailure(K.REJECTED, "slow down", status=429, retry_after_s=7.5)
    assert client_error(failure).retry_after_s == 7.5


def test_what_was_tried_is_told_where_there_was_more_than_one_try() -> None:
    failure = UpstreamFailure(K.SERVER_ERROR, "It broke.", status=500)
    assert client_error(failure, ["a/m: refused"]).message == "It broke."
    told = client_error(failure, ["a/m: refused", "b/n: server error 500"])
    assert told.message == "It broke. Tried: a/m: refused; b/n: server error 500."


def test_of_the_clients_own_mistake_the_tries_are_not_told() -> None:
    failure = UpstreamFailure(K.REJECTED, "too hot", status=400)
    assert client_error(failure, ["a", "b"]).message == "too hot"


@pytest.mark.parametrize("status", [408, 429])
def test_where_the_last_route_was_too_busy_the_tries_are_told(status: int) -> None:
    failure = UpstreamFailure(K.REJECTED, "Slow down.", status=status)
    told = client_error(failure, ["a/m: refused", "b/n: rejected 429"])
    assert told.message == "Slow down. Tried: a/m: refused; b/n: rejected 429."
    assert told.status == status


def skips(*reasons: str) -> Ledger:
    ledger = Ledger()
    for reason in reasons:
        ledger.skip(Route("a", "m"), reason, 0.0)
    return ledger


def test_a_request_that_no_route_can_take_is_a_400() -> None:
    failure = nothing_asked(skips("no_images", "unsupported: seed").skipped(), None)
    error = client_error(failure)
    assert (error.status, error.code) == (400, "unsupported_by_route")
    assert "a/m: no_images; a/m: unsupported: seed" in error.message


def test_routes_that_cannot_be_asked_now_are_a_503_with_a_time() -> None:
    ledger = skips("no_images", "breaker_open")
    error = client_error(nothing_asked(ledger.skipped(), 12.0), ledger.tried())
    assert (error.status, error.code, error.retry_after_s) == (503, "no_route_available", 12.0)
    assert "a/m: skipped (breaker_open)" in error.message


def test_of_a_cut_that_could_not_be_continued_the_cut_is_the_cause() -> None:
    cut = UpstreamFailure(K.TRUNCATED, "Cut.")
    last = UpstreamFailure(K.SERVER_ERROR, "Down.", status=500)
    told = not_continued(cut, last)
    assert (told.kind, told.status) == (K.TRUNCATED, None)
    assert told.message == "Cut. It could not be continued: Down."
    assert not_continued(cut, cut) is cut
