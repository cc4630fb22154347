"""Client errors: map upstream failures and other refusals to what the client receives.

Status, type and code follow from the failure's class, so that they are the same for every format
of provider. The provider's own words are only in the message. Dialects render the result.
"""

import re
from collections.abc import Sequence

from actors.turn.failure_class import FailureClass, failure_class_of
from actors.turn.model_call import FailureKind, Route, UpstreamFailure
from actors.turn.outcome import CONTEXT_LENGTH, ErrorInfo, Reason
from actors.turn.step import AttemptUsage

_OPERATOR_STATUSES = frozenset({401, 402, 403})
"""Refusals of our API key or credit, which only the operator can fix; 403 has other causes too."""
_TRANSIENT_STATUSES = frozenset({408, 429})
"""4xx statuses not caused by the client: another route, or a later try, could have succeeded."""

_UNAVAILABLE = 503
_OVERLOADED = 529
"""Anthropic's status for a provider without capacity; their clients wait longer after it."""
_OVERLOADED_NAME = re.compile(r"overloaded(?:_error)?$", re.IGNORECASE)
"""Matches the end of types and codes such as `server_is_overloaded` (OpenAI)."""
_NOT_FOUND = 404
_RETRY_AFTER_S = 1.0
"""`Retry-After` of a 503 whose cause says nothing about time: a concurrency limit, an outage."""

_RESET = "reset it with POST /v1/routes/{route}/reset"
_SKIP_TEXTS = {
    "breaker_open": f"Too many of its calls failed. Retry later, or {_RESET}.",
    "credit": f"The provider refused its API keys. Check keys and account, then {_RESET}.",
    "operator": f"An operator took it out of use. To use it again, {_RESET}.",
    "no_key": "Its provider has no API key. Set the key and restart the server.",
    "busy": "All concurrent calls of its provider are in use. Retry later.",
}
"""Reason and remedy by skip reason; the others are caused by the request."""

_REQUEST_REASONS = (
    *("no_images", "no_files", "no_audio", "no_video", "no_tools", "no_reasoning"),
    *("context_window", "unsupported"),
)
"""Prefixes of the skip reasons that are caused by the request."""

_STATUSES = {FailureClass.CONTEXT_LENGTH: 400, FailureClass.RATE_LIMITED: 429}
_CODES = {
    FailureClass.CONTEXT_LENGTH: CONTEXT_LENGTH,
    FailureClass.CONTENT_FILTER: "content_filter",
    FailureClass.RATE_LIMITED: "rate_limit_exceeded",
}
"""OpenAI's codes of the failures on which clients act."""
_PLAIN_CODE = re.compile(r"[a-z][a-z0-9_]*")
"""Codes in OpenAI's style, such as `unsupported_value`. Others are a vendor's vocabulary."""
_NO_PATH = re.compile(
    r"\W*(?:404\W*)?(?:the provider answered with status 404|(?:error: )?not found|cannot post"
    r"|(?:invalid|unknown|unrecognized) (?:request )?(?:url|path|endpoint|route)|no route"
    r"|(?:the )?(?:requested )?(?:page|path|url|endpoint|route|resource)\b.{0,200}\bnot found)",
    re.IGNORECASE | re.DOTALL,
)
"""Beginnings of 404 messages that say nothing about the request: the `base_url` is wrong."""

_GATEWAY_STATUS = {
    FailureKind.CONNECT_TIMEOUT: 504,
    FailureKind.FIRST_BYTE_TIMEOUT: 504,
    FailureKind.FIRST_TOKEN_TIMEOUT: 504,
    FailureKind.IDLE_TIMEOUT: 504,
    FailureKind.BUSY: 503,
}
"""Statuses of the failures that are not a 502."""


def client_error(failure: UpstreamFailure, tried: Sequence[str] = ()) -> ErrorInfo:
    """Return the error for the client: correct status, provider's message, no addresses.

    The client's own mistakes keep the provider's status, also if the stream reported them. Problems
    that only the operator can fix become a 502, a timeout a 504; a 503 stays a 503, and an overload
    a 529. `tried` has the result of each attempt; the message lists them if there was more than one
    and the last one did not fail by the client's own mistake. A 503 always names its routes, and
    comes with a time to retry after. A 404 names its route, because ours look the same otherwise.
    """
    kind = failure_class_of(failure)
    status = _client_status(failure, kind)
    client_fault = status < 500
    message, retry_after_s = failure.message, failure.retry_after_s
    if failure.kind is FailureKind.BUSY:
        retry_after_s = retry_after_s or _RETRY_AFTER_S  # the message names all routes
    elif status == _UNAVAILABLE:
        message = f"{_with_tried(message, tried, least=1).rstrip('.')}. Retry later."
        retry_after_s = retry_after_s or _RETRY_AFTER_S
    elif failure.status == _NOT_FOUND:
        remedy = "" if client_fault else " Check its base_url."
        message = _with_tried(f"The provider answered 404: {message}", tried, least=1) + remedy
    elif not client_fault or status in _TRANSIENT_STATUSES:
        message = _with_tried(message, tried)
    return ErrorInfo(
        status=status,
        message=message,
        type=_type(status),
        code=_code(failure, kind),
        param=failure.param if client_fault else None,
        retry_after_s=retry_after_s,
    )


def conversation_busy(name: str) -> ErrorInfo:
    """Return the 409 for a turn in a conversation that already has one in progress."""
    return ErrorInfo(
        status=409,
        message=f"The conversation {name[:100]!r} has a turn in progress. Retry after its end.",
        type="invalid_request_error",
        code="conversation_busy",
        param="conversation",
    )


def nothing_asked(skipped: Sequence[AttemptUsage], wait_s: float | None) -> UpstreamFailure:
    """Return the failure for a turn whose routes were all skipped.

    `wait_s` is the time in seconds until a route may be available again.
    """
    reasons = [attempt.note or "" for attempt in skipped]
    if reasons and all(reason.startswith(_REQUEST_REASONS) for reason in reasons):
        details = "; ".join(f"{attempt.route}: {attempt.note}" for attempt in skipped)
        # With a shorter prompt, such a route could answer: agents compact theirs on this code.
        too_long = "context_window" in reasons
        return UpstreamFailure(
            FailureKind.REJECTED,
            f"No route of this model supports this request ({details}).",
            status=400,
            code=CONTEXT_LENGTH if too_long else "unsupported_by_route",
        )
    # A route that was skipped again later has the later reason.
    notes = {attempt.route: attempt.note or "" for attempt in skipped}
    details = " ".join(
        f"{route} ({note}): {_skip_text(route, note)}" for route, note in notes.items()
    )
    return UpstreamFailure(
        FailureKind.BUSY,
        f"No route of this model is available now. {details}".rstrip(),
        code="no_route_available",
        retry_after_s=wait_s,
    )


def out_of_time(tried: Sequence[str]) -> ErrorInfo:
    """Return the 504 for an exceeded time budget; `tried` as in `client_error`."""
    return ErrorInfo(
        status=504,
        message=_with_tried("The turn's time budget (total_s) is used up.", tried),
        type="server_error",
        code=Reason.TIME_BUDGET.value,
    )


def not_continued(first: UpstreamFailure, last: UpstreamFailure) -> UpstreamFailure:
    """Return the failure for an answer that `first` interrupted and `last` kept from continuing.

    It keeps the kind and status of `first`.
    """
    if last is first:
        return first
    # A route's refusal refers to the continuation request, which the client did not send.
    why = "the next route refused." if last.kind is FailureKind.REJECTED else last.message
    message = f"{first.message.rstrip('.')}. It could not be continued: {why}"
    return UpstreamFailure(
        first.kind, message, status=first.status, code=first.code, type=first.type
    )


def _skip_text(route: Route, note: str) -> str:
    return _SKIP_TEXTS.get(note, "It does not support this request.").format(route=route)


def _with_tried(message: str, tried: Sequence[str], least: int = 2) -> str:
    if len(tried) < least:
        return message
    return f"{message.rstrip('.')}. Tried: {'; '.join(tried)}."


def _client_status(failure: UpstreamFailure, kind: FailureClass) -> int:
    given = failure.status or 0
    if kind in _STATUSES:
        return _STATUSES[kind]
    if kind is FailureClass.CONTENT_FILTER:
        # SDKs retry after any 5xx, and would pay for each refusal.
        return given if 400 <= given < 500 else 400
    if given == _UNAVAILABLE:
        return _UNAVAILABLE
    names = (failure.type, failure.code)
    if given == _OVERLOADED or any(name and _OVERLOADED_NAME.search(name) for name in names):
        return _OVERLOADED
    rejected = kind in (FailureClass.REJECTED, FailureClass.FORBIDDEN)
    if given == _NOT_FOUND and _NO_PATH.match(failure.message):
        return 502
    if rejected or (failure.kind is FailureKind.REJECTED and given not in _OPERATOR_STATUSES):
        return given or 502
    return _GATEWAY_STATUS.get(failure.kind, 502)


def _type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "upstream_error"


def _code(failure: UpstreamFailure, kind: FailureClass) -> str:
    if kind in _CODES:
        return _CODES[kind]
    if failure.status == _NOT_FOUND:
        return "upstream_not_found"
    code = failure.code
    return code if code is not None and _PLAIN_CODE.fullmatch(code) else failure.kind.value
