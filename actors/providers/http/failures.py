"""Converts HTTP errors to `UpstreamFailure`s with texts that are safe for clients."""

from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

from actors.providers.error_body import read_error
from actors.providers.http.connection import Disconnected, SocketClosed
from actors.providers.redaction import Scrub
from actors.turn.model_call import FailureKind, UpstreamFailure

_DAY_S = 86_400.0


def connection_failure(error: httpx.TransportError, scrub: Scrub) -> UpstreamFailure:
    """Return the failure of a request that got no response."""
    if isinstance(error, httpx.ConnectTimeout):
        text = "the provider cannot be reached in time"
        return UpstreamFailure(FailureKind.CONNECT_TIMEOUT, text, sent=False)
    if isinstance(error, httpx.RemoteProtocolError) and not isinstance(error, Disconnected):
        return UpstreamFailure(FailureKind.SERVER_ERROR, "the provider's answer is not valid HTTP")
    if isinstance(error, SocketClosed):
        return UpstreamFailure(FailureKind.REFUSED, str(error))
    text = scrub(f"the provider cannot be reached: {error}")
    sent = not isinstance(error, httpx.ConnectError)
    return UpstreamFailure(FailureKind.REFUSED, text, sent=sent)


def cut_failure(error: httpx.TransportError) -> UpstreamFailure:
    """Return the failure of an answer whose connection ended too early."""
    known = isinstance(error, SocketClosed)
    text = str(error) if known else "the connection to the provider broke"
    return UpstreamFailure(FailureKind.TRUNCATED, text)


def not_an_answer(media_type: str, scrub: Scrub) -> UpstreamFailure:
    """Return the failure of a response of status 200 whose body isn't an answer, but a page."""
    text = f"the provider sent {media_type[:80] or 'something'} instead of an answer"
    return UpstreamFailure(FailureKind.SERVER_ERROR, scrub(text), status=200)


def status_failure(
    response: httpx.Response, body: bytes, scrub: Scrub, now: Callable[[], float]
) -> UpstreamFailure:
    """Return the failure of a response whose status isn't 200; `body` is its beginning."""
    status = response.status_code
    error = read_error(body)
    failure = UpstreamFailure(
        FailureKind.REJECTED if 400 <= status < 500 else FailureKind.SERVER_ERROR,
        scrub(error.message) if error else f"the provider answered with status {status}",
        status=status,
        retry_after_s=retry_after(response.headers, now),
    )
    if error is not None:
        if failure.retry_after_s is None:
            failure.retry_after_s = error.retry_after_s
        failure.code = error.code and scrub(error.code)
        failure.type = error.type and scrub(error.type)
        failure.param = error.param and scrub(error.param)
    return failure


def retry_after(headers: Mapping[str, str], now: Callable[[], float]) -> float | None:
    """Return the seconds to wait before a retry, or None if no header has them.

    `retry-after-ms`, or Azure's `x-ms-retry-after-ms`, has precedence, since servers that send it
    round `Retry-After`. That is a number of seconds or a date (RFC 9110 §10.2.3). The names of
    `headers` are in lower case. The result is at most a day, so that it is always a finite number
    that clients can use. `now` returns seconds since the epoch.
    """
    precise = _number(headers.get("retry-after-ms") or headers.get("x-ms-retry-after-ms", ""))
    if precise is not None:
        return min(precise / 1000, _DAY_S)
    value = headers.get("retry-after", "")
    seconds = _number(value)
    return _until(value, now) if seconds is None else min(seconds, _DAY_S)


def _number(value: str) -> float | None:
    value = value.strip()
    return float(value) if value.isascii() and value.replace(".", "", 1).isdigit() else None


def _until(value: str, now: Callable[[], float]) -> float | None:
    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return min(max(0.0, date.timestamp() - now()), _DAY_S)
    except (ValueError, OverflowError):
        return None
