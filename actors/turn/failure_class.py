"""Failure classes: map a provider failure to its row of the retry table.

Providers report the same problem with different statuses, codes and messages. The message is
matched only if status and code are inconclusive. The module does no I/O.
"""

import re
from enum import StrEnum

from actors.turn.model_call import FailureKind, UpstreamFailure


class FailureClass(StrEnum):
    """The class of a failure: it decides on the next attempt."""

    CONNECTION = "connection"
    """The connection was refused, reset, or closed before the response head."""
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    """No connection, response head or first token arrived in time."""
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    CREDENTIALS = "credentials"
    """The API key was refused or its account has no credit."""
    FORBIDDEN = "forbidden"
    """Any other 403: a firewall's page for this request, or a model that the key may not use."""
    UNPAID = "unpaid"
    """The account's credit does not cover this call but may cover a smaller one."""
    ERRED = "erred"
    """The model produced an invalid answer; the provider itself is healthy."""
    REJECTED = "rejected"
    """The provider sent any other 4xx: the request itself is wrong."""
    BROKEN = "broken"
    """The stream was truncated, stalled, malformed, or ended by an error event."""
    MISFIT = "misfit"
    """The answer to a continuation request does not continue the text shown so far."""
    BUSY = "busy"
    """No concurrency slot became free within the provider's `wait_s`; no request was sent."""


_CREDIT_STATUSES = frozenset({401, 402})
_CREDIT_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "invalid_api_key",
        "api_key_invalid",
        "no_usable_key",
        # Gemini's reasons for a 403 that concern the key or its project, not the model.
        "api_key_service_blocked",
        "billing_disabled",
        "consumer_invalid",
        "consumer_suspended",
        "service_disabled",
    }
)
_CREDIT_WORDS = re.compile(
    r"(?:your |you have )?(?:credit balance|insufficient (?:quota|credit|balance|funds))"
    r"|you exceeded your current quota",
    re.IGNORECASE,
)
"""Patterns matched only at the start of a message: providers may quote client input later in it."""
_ACCOUNT_WORDS = re.compile(
    r"(?:error: )?(?:your |the |this |an? )?(?:provided |invalid |incorrect |expired |disabled )*"
    r"(?:api[ _-]?key|account|organi[sz]ation|billing|credit|credentials?|subscription|quota|token)"
    r"\b(?! limit)(?!.*\b(?:models?|resource)\b)",
    re.IGNORECASE | re.DOTALL,
)
"""Messages with which a 403 refers to the key or the account, and not to its use for one model."""
_TOO_DEAR = re.compile(r"max_tokens|fewer|more credits", re.IGNORECASE)
_CONTEXT_CODES = frozenset({"context_length_exceeded", "string_above_max_length"})
_CONTEXT_WORDS = re.compile(
    r"context[ _](?:length|window)|prompt is too long|input token count|too many input tokens"
    r"|maximum number of tokens",
    re.IGNORECASE,
)
_FILTER_CODES = frozenset(
    {
        "content_policy_violation",
        "content_filter",
        "content_filtered",
        "moderation_blocked",
        "responsibleaipolicyviolation",
    }
)
_FILTER_WORDS = re.compile(
    r"content (?:management |filtering )?policy|safety system|usage guidelines|was flagged"
    r"|moderation",
    re.IGNORECASE,
)
_ERRED_CODES = frozenset({"malformed_function_call", "unexpected_tool_call", "too_many_tool_calls"})
_TIMEOUT_STATUSES = frozenset({408, 504})
_VAGUE = frozenset({400, 403, 413, 422, 429})
_PAYMENT_REQUIRED = 402
_FORBIDDEN = 403
_TOO_MANY = 429

_BY_KIND = {
    FailureKind.REFUSED: FailureClass.CONNECTION,
    FailureKind.CONNECT_TIMEOUT: FailureClass.TIMEOUT,
    FailureKind.FIRST_BYTE_TIMEOUT: FailureClass.TIMEOUT,
    FailureKind.FIRST_TOKEN_TIMEOUT: FailureClass.TIMEOUT,
    FailureKind.IDLE_TIMEOUT: FailureClass.BROKEN,
    FailureKind.REJECTED: FailureClass.REJECTED,
    FailureKind.SERVER_ERROR: FailureClass.SERVER_ERROR,
    FailureKind.IN_STREAM_ERROR: FailureClass.BROKEN,
    FailureKind.MALFORMED: FailureClass.BROKEN,
    FailureKind.TRUNCATED: FailureClass.BROKEN,
    FailureKind.MISFIT: FailureClass.MISFIT,
    FailureKind.BUSY: FailureClass.BUSY,
}


def failure_class_of(failure: UpstreamFailure) -> FailureClass:
    """Return the failure class, which is the row of the retry table."""
    if failure.kind not in _SAID_BY_PROVIDER:
        return _BY_KIND[failure.kind]
    return (
        _about_the_prompt(failure)
        or _about_the_account(failure)
        or _about_the_moment(failure)
        or _BY_KIND[failure.kind]
    )


_SAID_BY_PROVIDER = (FailureKind.REJECTED, FailureKind.SERVER_ERROR, FailureKind.IN_STREAM_ERROR)


def _is_vague(failure: UpstreamFailure) -> bool:
    """Return True if the message must be matched: status ambiguous and no `Retry-After`."""
    return failure.status in _VAGUE and failure.retry_after_s is None


def _about_the_prompt(failure: UpstreamFailure) -> FailureClass | None:
    # Checked first: some providers send a status for it that otherwise means a bad key.
    code, words = (failure.code or "").lower(), failure.message if _is_vague(failure) else ""
    if code in _CONTEXT_CODES or _CONTEXT_WORDS.search(words):
        return FailureClass.CONTEXT_LENGTH
    if code in _FILTER_CODES or _FILTER_WORDS.search(words):
        return FailureClass.CONTENT_FILTER
    return FailureClass.ERRED if code in _ERRED_CODES else None


def _about_the_account(failure: UpstreamFailure) -> FailureClass | None:
    if (failure.code or "").lower() in _CREDIT_CODES:
        return FailureClass.CREDENTIALS
    if failure.status == _PAYMENT_REQUIRED and _TOO_DEAR.search(failure.message):
        return FailureClass.UNPAID
    if failure.status in _CREDIT_STATUSES:
        return FailureClass.CREDENTIALS
    if failure.status == _FORBIDDEN:
        words = _CREDIT_WORDS.match(failure.message) or _ACCOUNT_WORDS.match(failure.message)
        return FailureClass.CREDENTIALS if words else FailureClass.FORBIDDEN
    return (
        FailureClass.UNPAID if _is_vague(failure) and _CREDIT_WORDS.match(failure.message) else None
    )


def _about_the_moment(failure: UpstreamFailure) -> FailureClass | None:
    if failure.status == _TOO_MANY:
        return FailureClass.RATE_LIMITED
    if failure.status in _TIMEOUT_STATUSES and failure.kind is not FailureKind.IN_STREAM_ERROR:
        return FailureClass.TIMEOUT
    if failure.kind is FailureKind.IN_STREAM_ERROR and 400 <= (failure.status or 0) < 500:
        return FailureClass.REJECTED
    return None
