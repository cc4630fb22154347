"""What a failed attempt means: to the next route, and to the client."""

from actors.outcome import ErrorInfo
from actors.providers.base import FailureKind, UpstreamFailure

_OURS_TO_FIX = frozenset({401, 402, 403})
"""Refusals of our credentials or credit: another route may do, and the client cannot mend it."""

_WORTH_ANOTHER_ROUTE = _OURS_TO_FIX | {408, 429}

_GATEWAY_STATUS = {
    FailureKind.REFUSED: 502,
    FailureKind.CONNECT_TIMEOUT: 504,
    FailureKind.FIRST_BYTE_TIMEOUT: 504,
    FailureKind.FIRST_TOKEN_TIMEOUT: 504,
    FailureKind.IDLE_TIMEOUT: 504,
    FailureKind.REJECTED: 502,
    FailureKind.SERVER_ERROR: 502,
    FailureKind.IN_STREAM_ERROR: 502,
    FailureKind.MALFORMED: 502,
    FailureKind.TRUNCATED: 502,
}


def may_try_next(failure: UpstreamFailure) -> bool:
    """Whether another route might answer, as long as the client has seen no content.

    A 4xx that is about the request itself would be the same everywhere.
    """
    return failure.kind is not FailureKind.REJECTED or failure.status in _WORTH_ANOTHER_ROUTE


def client_error(failure: UpstreamFailure) -> ErrorInfo:
    """The failure as the client is told it: true status, provider's words, no addresses.

    The client's own mistakes keep the provider's status; what only the operator can mend is a
    502, a timeout a 504, an upstream 503 stays one.
    """
    status = _client_status(failure)
    own_mistake = failure.kind is FailureKind.REJECTED and status < 500
    return ErrorInfo(
        status=status,
        message=failure.message,
        type=(failure.type or "invalid_request_error") if own_mistake else "upstream_error",
        code=failure.code or failure.kind.value,
        param=failure.param if own_mistake else None,
        retry_after_s=failure.retry_after_s,
    )


def _client_status(failure: UpstreamFailure) -> int:
    if failure.status == 503:
        return 503
    if failure.kind is FailureKind.REJECTED and failure.status not in _OURS_TO_FIX:
        return failure.status or 502
    return _GATEWAY_STATUS[failure.kind]
