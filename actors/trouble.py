"""Which row of the retry table a failure belongs to. Pure.

Providers say the same thing with different statuses, codes and words; the words are looked at
only where status and code leave it open.
"""

import re
from enum import StrEnum

from actors.providers.base import FailureKind, UpstreamFailure


class Trouble(StrEnum):
    """What went wrong, as far as the next attempt is concerned."""

    CONNECTION = "connection"
    """Refused, reset, or closed before the response's head."""
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    """No connection, no head or no token in time."""
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    CREDENTIALS = "credentials"
    """A refused key, or no credit behind it."""
    REJECTED = "rejected"
    """Any other 4xx: the request itself is wrong."""
    BROKEN = "broken"
    """Cut, stalled, malformed, or ended by an error in the stream."""
    MISFIT = "misfit"
    """It answered, and what it said does not continue what was shown."""
    BUSY = "busy"
    """The provider's places were taken for longer than its `wait_s`; nothing was asked."""


_CREDIT_STATUSES = frozenset({401, 402, 403})
_CREDIT_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "invalid_api_key",
        "api_key_invalid",
        "no_usable_key",
    }
)
_CREDIT_WORDS = re.compile(
    r"credit balance|insufficient (?:quota|credit|balance|funds)|exceeded your current quota",
    re.IGNORECASE,
)
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
    r"content (?:management |filtering )?policy|safety system", re.IGNORECASE
)
_TIMEOUT_STATUSES = frozenset({408, 504})

_BY_KIND = {
    FailureKind.REFUSED: Trouble.CONNECTION,
    FailureKind.CONNECT_TIMEOUT: Trouble.TIMEOUT,
    FailureKind.FIRST_BYTE_TIMEOUT: Trouble.TIMEOUT,
    FailureKind.FIRST_TOKEN_TIMEOUT: Trouble.TIMEOUT,
    FailureKind.IDLE_TIMEOUT: Trouble.BROKEN,
    FailureKind.REJECTED: Trouble.REJECTED,
    FailureKind.SERVER_ERROR: Trouble.SERVER_ERROR,
    FailureKind.IN_STREAM_ERROR: Trouble.BROKEN,
    FailureKind.MALFORMED: Trouble.BROKEN,
    FailureKind.TRUNCATED: Trouble.BROKEN,
    FailureKind.MISFIT: Trouble.MISFIT,
    FailureKind.BUSY: Trouble.BUSY,
}


def trouble_of(failure: UpstreamFailure) -> Trouble:
    """The row of the retry table for this failure."""
    about = _about_the_call(failure)
    if about is not None:
        return about
    if failure.kind in (FailureKind.REJECTED, FailureKind.SERVER_ERROR):
        if failure.status == 429:
            return Trouble.RATE_LIMITED
        if failure.status in _TIMEOUT_STATUSES:
            return Trouble.TIMEOUT
    return _BY_KIND[failure.kind]


def _about_the_call(failure: UpstreamFailure) -> Trouble | None:
    """What status, code or words say of the prompt or of our account, at whichever point."""
    if failure.kind not in (FailureKind.REJECTED, FailureKind.IN_STREAM_ERROR):
        return None
    code = (failure.code or "").lower()
    # Who says when to come back means a rate, whatever else is said of a quota.
    vague = failure.status in (400, 413, 422, 429) and failure.retry_after_s is None
    if failure.status in _CREDIT_STATUSES or code in _CREDIT_CODES:
        return Trouble.CREDENTIALS
    if vague and _CREDIT_WORDS.search(failure.message):
        return Trouble.CREDENTIALS
    if code in _CONTEXT_CODES or (vague and _CONTEXT_WORDS.search(failure.message)):
        return Trouble.CONTEXT_LENGTH
    if code in _FILTER_CODES or (vague and _FILTER_WORDS.search(failure.message)):
        return Trouble.CONTENT_FILTER
    return None
