"""What every kind of failure means: whether to go on, and what the client is told."""

import pytest

from actors.failures import client_error, may_try_next
from actors.outcome import Reason
from actors.providers.base import FailureKind, UpstreamFailure, failure_reason

K = FailureKind
OURS = "upstream_error"
THEIRS = "invalid_request_error"

TABLE: list[tuple[FailureKind, int | None, Reason, bool, int, str]] = [
    # kind, upstream status → reason, try the next route, client's status, error type
    (K.REFUSED, None, Reason.UPSTREAM_UNREACHABLE, True, 502, OURS),
    (K.CONNECT_TIMEOUT, None, Reason.UPSTREAM_TIMEOUT, True, 504, OURS),
    (K.FIRST_BYTE_TIMEOUT, None, Reason.UPSTREAM_TIMEOUT, True, 504, OURS),
    (K.FIRST_TOKEN_TIMEOUT, None, Reason.UPSTREAM_TIMEOUT, True, 504, OURS),
    (K.IDLE_TIMEOUT, None, Reason.UPSTREAM_TIMEOUT, True, 504, OURS),
    (K.REJECTED, None, Reason.UPSTREAM_REJECTED, False, 502, OURS),
    (K.REJECTED, 400, Reason.UPSTREAM_REJECTED, False, 400, THEIRS),
    (K.REJECTED, 401, Reason.UPSTREAM_REJECTED, True, 502, OURS),
    (K.REJECTED, 402, Reason.UPSTREAM_REJECTED, True, 502, OURS),
    (K.REJECTED, 403, Reason.UPSTREAM_REJECTED, True, 502, OURS),
    (K.REJECTED, 404, Reason.UPSTREAM_REJECTED, False, 404, THEIRS),
    (K.REJECTED, 408, Reason.UPSTREAM_REJECTED, True, 408, THEIRS),
    (K.REJECTED, 413, Reason.UPSTREAM_REJECTED, False, 413, THEIRS),
    (K.REJECTED, 422, Reason.UPSTREAM_REJECTED, False, 422, THEIRS),
    (K.REJECTED, 429, Reason.UPSTREAM_REJECTED, True, 429, THEIRS),
    (K.SERVER_ERROR, 500, Reason.UPSTREAM_ERROR, True, 502, OURS),
    (K.SERVER_ERROR, 503, Reason.UPSTREAM_ERROR, True, 503, OURS),
    (K.SERVER_ERROR, None, Reason.UPSTREAM_ERROR, True, 502, OURS),
    (K.IN_STREAM_ERROR, None, Reason.UPSTREAM_ERROR, True, 502, OURS),
    (K.MALFORMED, None, Reason.UPSTREAM_ERROR, True, 502, OURS),
    (K.TRUNCATED, None, Reason.UPSTREAM_TRUNCATED, True, 502, OURS),
]


@pytest.mark.parametrize(("kind", "status", "reason", "next_route", "told", "type"), TABLE)
def test_a_row(
    kind: FailureKind, status: int | None, reason: Reason, next_route: bool, told: int, type: str
) -> None:
    failure = UpstreamFailure(kind, "words", status=status)
    assert failure_reason(kind) is reason
    assert may_try_next(failure) is next_route
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
