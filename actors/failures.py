"""What a failed attempt means: to the next route, and to the client."""

from collections.abc import Sequence

from actors.ledger import Tally
from actors.outcome import ErrorInfo, Reason
from actors.providers.base import FailureKind, UpstreamFailure

_OURS_TO_FIX = frozenset({401, 402, 403})
"""Refusals of our credentials or credit: another route may do, and the client cannot mend it."""
_NOBODYS_MISTAKE = frozenset({408, 429})
"""The client's status too, but another route, or the same one later, would have done."""

_FOR_THE_CALL = ("no_images", "no_tools", "no_reasoning", "context_window", "unsupported")
"""Beginnings of the reasons to skip a route that have to do with the request."""

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
    FailureKind.MISFIT: 502,
    FailureKind.BUSY: 503,
}


def client_error(failure: UpstreamFailure, tried: Sequence[str] = ()) -> ErrorInfo:
    """The failure as the client is told it: true status, provider's words, no addresses.

    The client's own mistakes keep the provider's status; what only the operator can mend is a
    502, a timeout a 504, an upstream 503 stays one. `tried`: what became of each attempt, told
    where there was more than one, and the last was not the client's own mistake.
    """
    status = _client_status(failure)
    own_mistake = failure.kind is FailureKind.REJECTED and status < 500
    tell_tries = not own_mistake or status in _NOBODYS_MISTAKE
    return ErrorInfo(
        status=status,
        message=_with_tried(failure.message, tried) if tell_tries else failure.message,
        type=(failure.type or "invalid_request_error") if own_mistake else "upstream_error",
        code=failure.code or failure.kind.value,
        param=failure.param if own_mistake else None,
        retry_after_s=failure.retry_after_s,
    )


def conversation_busy(name: str) -> ErrorInfo:
    """A 409: it is not yet for another turn of the conversation to begin."""
    return ErrorInfo(
        status=409,
        message=f"A turn of the conversation {name[:100]!r} is in progress. Wait for its end.",
        type="invalid_request_error",
        code="conversation_busy",
        param="conversation",
    )


def nothing_asked(skipped: Sequence[Tally], wait_s: float | None) -> UpstreamFailure:
    """Why no route at all was asked; `wait_s`: seconds until one may be."""
    reasons = [tally.note or "" for tally in skipped]
    if reasons and all(reason.startswith(_FOR_THE_CALL) for reason in reasons):
        told = "; ".join(f"{tally.route}: {tally.note}" for tally in skipped)
        return UpstreamFailure(
            FailureKind.REJECTED,
            f"No route of this model can take this request ({told}).",
            status=400,
            code="unsupported_by_route",
        )
    return UpstreamFailure(
        FailureKind.BUSY,
        "No route of this model can be asked now.",
        code="no_route_available",
        retry_after_s=wait_s,
    )


def out_of_time(tried: Sequence[str]) -> ErrorInfo:
    """What the client is told where the time budget ended the turn, `tried` as above."""
    return ErrorInfo(
        status=504,
        message=_with_tried("The turn's time budget (total_s) is used up.", tried),
        type="server_error",
        code=Reason.TIME_BUDGET.value,
    )


def not_continued(cut: UpstreamFailure, last: UpstreamFailure) -> UpstreamFailure:
    """What cut an answer that then could not be continued."""
    if last is cut:
        return cut
    # What a route says of being asked to continue is no answer to the client's own request.
    why = "the next route refused." if last.kind is FailureKind.REJECTED else last.message
    message = f"{cut.message.rstrip('.')}. It could not be continued: {why}"
    return UpstreamFailure(cut.kind, message, status=cut.status, code=cut.code, type=cut.type)


def _with_tried(message: str, tried: Sequence[str]) -> str:
    if len(tried) < 2:
        return message
    return f"{message.rstrip('.')}. Tried: {'; '.join(tried)}."


def _client_status(failure: UpstreamFailure) -> int:
    if failure.status == 503:
        return 503
    if failure.kind is FailureKind.REJECTED and failure.status not in _OURS_TO_FIX:
        return failure.status or 502
    return _GATEWAY_STATUS[failure.kind]
