"""Tests of client errors: the turn's reason and the client's error for every failure kind."""

import pytest

from actors.attempts.client_errors import client_error, not_continued, nothing_asked
from actors.turn.model_call import FailureKind, ModelCall, Route, UpstreamFailure, failure_reason
from actors.turn.outcome import Reason
from actors.turn.step import Step, tried

K = FailureKind
OURS = "upstream_error"
THEIRS = "invalid_request_error"
LATER = "rate_limit_error"

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
    (K.REJECTED, 403, Reason.UPSTREAM_REJECTED, 403, THEIRS),
    (K.REJECTED, 408, Reason.UPSTREAM_REJECTED, 408, THEIRS),
    (K.REJECTED, 413, Reason.UPSTREAM_REJECTED, 413, THEIRS),
    (K.REJECTED, 422, Reason.UPSTREAM_REJECTED, 422, THEIRS),
    (K.REJECTED, 429, Reason.UPSTREAM_REJECTED, 429, LATER),
    (K.SERVER_ERROR, 500, Reason.UPSTREAM_ERROR, 502, OURS),
    (K.SERVER_ERROR, 503, Reason.UPSTREAM_ERROR, 503, OURS),
    (K.SERVER_ERROR, 529, Reason.UPSTREAM_ERROR, 529, OURS),
    (K.SERVER_ERROR, None, Reason.UPSTREAM_ERROR, 502, OURS),
    (K.IN_STREAM_ERROR, None, Reason.UPSTREAM_ERROR, 502, OURS),
    (K.IN_STREAM_ERROR, 400, Reason.UPSTREAM_ERROR, 400, THEIRS),
    (K.IN_STREAM_ERROR, 401, Reason.UPSTREAM_ERROR, 502, OURS),
    (K.IN_STREAM_ERROR, 429, Reason.UPSTREAM_ERROR, 429, LATER),
    (K.IN_STREAM_ERROR, 529, Reason.UPSTREAM_ERROR, 529, OURS),
    (K.MALFORMED, None, Reason.UPSTREAM_ERROR, 502, OURS),
    (K.TRUNCATED, None, Reason.UPSTREAM_TRUNCATED, 502, OURS),
    (K.MISFIT, None, Reason.UPSTREAM_ERROR, 502, OURS),
    (K.BUSY, None, Reason.UPSTREAM_UNREACHABLE, 503, OURS),
]


@pytest.mark.parametrize(("kind", "status", "reason", "expected", "type"), TABLE)
def test_failure_maps_to_reason_and_client_error(
    kind: FailureKind, status: int | None, reason: Reason, expected: int, type: str
) -> None:
    failure = UpstreamFailure(kind, "words", status=status)
    assert failure_reason(kind) is reason
    error = client_error(failure)
    assert (error.status, error.type) == (expected, type)
    assert error.message == ("words. Retry later." if status == 503 else "words")
    assert (error.retry_after_s is not None) is (expected == 503)
    assert error.code == ("rate_limit_exceeded" if status == 429 else kind.value)


def test_table_is_complete() -> None:
    assert {row[0] for row in TABLE} == set(FailureKind)


@pytest.mark.parametrize(
    ("code", "type", "shown"),
    [
        ("unsupported_value", "bad_request", "unsupported_value"),
        (None, "INVALID_ARGUMENT", "rejected"),
        ("INVALID_ARGUMENT", None, "rejected"),
        ("1213", None, "rejected"),
    ],
)
def test_client_mistake_keeps_a_code_and_a_path_but_no_vocabulary_of_a_vendor(
    code: str | None, type: str | None, shown: str
) -> None:
    failure = UpstreamFailure(K.REJECTED, "no", status=400, code=code, type=type, param="seed")
    error = client_error(failure)
    assert (error.code, error.type, error.param) == (shown, THEIRS, "seed")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (UpstreamFailure(K.REJECTED, "Your input was flagged.", status=403), 403),
        (UpstreamFailure(K.REJECTED, "Content Exists Risk", status=400), 400),
        (UpstreamFailure(K.IN_STREAM_ERROR, "No.", code="content_filter"), 400),
        (UpstreamFailure(K.SERVER_ERROR, "No.", status=500, code="content_filter"), 400),
    ],
)
def test_refused_content_is_a_4xx_so_that_it_is_not_sent_again(
    failure: UpstreamFailure, status: int
) -> None:
    error = client_error(failure)
    assert (error.status, error.type, error.code) == (status, THEIRS, "content_filter")


@pytest.mark.parametrize("type", ["overloaded_error", "Overloaded", "server_is_overloaded"])
def test_overload_is_a_529_without_a_time_that_the_provider_did_not_name(type: str) -> None:
    error = client_error(UpstreamFailure(K.IN_STREAM_ERROR, "Overloaded", type=type))
    assert (error.status, error.retry_after_s) == (529, None)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("The model `m` does not exist", 404),
        ("model: m", 404),
        ("No endpoints found that support image input", 404),
        ("Not Found", 502),
        ("404 page not found", 502),
        ("the provider answered with status 404", 502),
        ("Invalid URL (POST /v1/v1/chat/completions)", 502),
        ("Cannot POST /v1/messages", 502),
        ("The requested resource /v1/x was not found", 502),
    ],
)
def test_404_of_a_provider_names_its_route_and_is_a_502_if_the_path_is_wrong(
    words: str, status: int
) -> None:
    failure = UpstreamFailure(K.REJECTED, words, status=404)
    error = client_error(failure, ["a/m: rejected 404"])
    assert (error.status, error.code) == (status, "upstream_not_found")
    text = f"The provider answered 404: {words}. Tried: a/m: rejected 404."
    assert error.message == (text if status == 404 else f"{text} Check its base_url.")


def test_refused_account_is_the_operators_mistake_also_with_a_403() -> None:
    failure = UpstreamFailure(K.REJECTED, "Your account has been suspended.", status=403)
    assert client_error(failure).status == 502


def test_503_names_its_only_route() -> None:
    failure = UpstreamFailure(K.SERVER_ERROR, "Overloaded.", status=503)
    error = client_error(failure, ["a/m: server error 503, 2 times"])
    assert error.message == "Overloaded. Tried: a/m: server error 503, 2 times. Retry later."


def test_operator_mistake_hides_type_and_param() -> None:
    failure = UpstreamFailure(K.REJECTED, "bad key", status=401, type="auth", param="key")
    error = client_error(failure)
    assert (error.type, error.param) == ("upstream_error", None)


def test_retry_after_is_passed_on() -> None:
    failure = UpstreamFailure(K.REJECTED, "slow down", status=429, retry_after_s=7.5)
    assert client_error(failure).retry_after_s == 7.5


def test_attempts_are_listed_if_there_was_more_than_one() -> None:
    failure = UpstreamFailure(K.SERVER_ERROR, "It broke.", status=500)
    assert client_error(failure, ["a/m: refused"]).message == "It broke."
    expected = client_error(failure, ["a/m: refused", "b/n: server error 500"])
    assert expected.message == "It broke. Tried: a/m: refused; b/n: server error 500."


def test_attempts_are_not_listed_for_a_client_mistake() -> None:
    failure = UpstreamFailure(K.REJECTED, "too hot", status=400)
    assert client_error(failure, ["a", "b"]).message == "too hot"


@pytest.mark.parametrize("status", [408, 429])
def test_attempts_are_listed_if_the_last_route_was_busy(status: int) -> None:
    failure = UpstreamFailure(K.REJECTED, "Slow down.", status=status)
    expected = client_error(failure, ["a/m: refused", "b/n: rejected 429"])
    assert expected.message == "Slow down. Tried: a/m: refused; b/n: rejected 429."
    assert expected.status == status


def step_of_skips(*reasons: str) -> Step:
    step = Step(1, ModelCall(upstream_model="", messages=(), parameters={}))
    for reason in reasons:
        step.skip(Route("a", "m"), reason, 0.0)
    return step


def test_request_that_no_route_supports_is_a_400() -> None:
    failure = nothing_asked(step_of_skips("no_images", "unsupported: seed").skipped(), None)
    error = client_error(failure)
    assert (error.status, error.code) == (400, "unsupported_by_route")
    assert "a/m: no_images; a/m: unsupported: seed" in error.message


def test_prompt_that_is_too_long_for_each_window_is_reported_as_such() -> None:
    failure = nothing_asked(step_of_skips("no_images", "context_window").skipped(), None)
    error = client_error(failure)
    assert (error.status, error.type, error.code) == (400, THEIRS, "context_length_exceeded")


def test_unavailable_routes_are_a_503_with_retry_after() -> None:
    step = step_of_skips("no_images", "breaker_open")
    error = client_error(nothing_asked(step.skipped(), 12.0), tried([step]))
    assert (error.status, error.code, error.retry_after_s) == (503, "no_route_available", 12.0)


@pytest.mark.parametrize(
    ("note", "remedy"),
    [
        ("breaker_open", "Retry later"),
        ("credit", "Check keys and account"),
        ("operator", "reset it with POST /v1/routes/a/m/reset"),
        ("no_key", "Set the key"),
        ("busy", "Retry later"),
    ],
)
def test_503_names_route_reason_and_remedy(note: str, remedy: str) -> None:
    step = step_of_skips(note)
    error = client_error(nothing_asked(step.skipped(), None), tried([step]))
    assert f"a/m ({note}): " in error.message
    assert remedy in error.message
    assert error.retry_after_s is not None


def test_interruption_is_the_cause_if_continuing_fails() -> None:
    cut = UpstreamFailure(K.TRUNCATED, "Cut.")
    last = UpstreamFailure(K.SERVER_ERROR, "Down.", status=500)
    expected = not_continued(cut, last)
    assert (expected.kind, expected.status) == (K.TRUNCATED, None)
    assert expected.message == "Cut. It could not be continued: Down."
    assert not_continued(cut, cut) is cut
