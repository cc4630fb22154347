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
_CONTEXT_CODES = frozenset(
    {
        "context_length_exceeded",
        "context_window_exceeded",
        "exceed_context_size_error",
        "input_too_long",
        "model_context_window_exceeded",
        "model_max_prompt_tokens_exceeded",
        "prompt_too_long",
        "tokens_limit_reached",
    }
)
"""Codes and types, in lower case, for a prompt that is too long."""
_LONG_STRING = "string_above_max_length"
"""OpenAI's code for a string of any field, such as the name of a tool."""
_PROMPT_FIELDS = ("messages", "input", "prompt")

_WINDOW = r"(?:context[ _](?:length|window|size|limit)|maximum (?:context|model length)|n_ctx)"
_INPUT = (
    r"(?:\b(?:prompt|inputs?(?:_\w+)?|messages?|conversation|request)\b[^\n]{0,40}?"
    r"\b(?:tokens?|count|length|size|characters)\b"
    r"|\b(?:length of|tokens in) (?:the |your )?(?:prompt|inputs?|messages|conversation)\b)"
)
_EXCEEDED = (
    r"(?:exceed|too (?:long|large|small|high)|longer|greater|larger|(?:less|more) than"
    r"|must be|should be|at most|not enough|maximum|\blimit|overflow|\bonly\b|\bis \d|configured"
    r"|\bfull\b|>)"
)
_CONTEXT_WORDS = re.compile(
    rf"{_WINDOW}[^\n]{{0,120}}?{_EXCEEDED}|{_EXCEEDED}[^\n]{{0,120}}?{_WINDOW}"
    rf"|{_INPUT}[^\n]{{0,100}}?{_EXCEEDED}|maximum prompt length"
    r"|\b(?:prompt|inputs?|message|conversation)\b"
    r"(?: (?:text|tokens?|\(\d+ tokens\)|you submitted|is|are|was))* too (?:long|large)"
    r"|\binputs\b\W+must have less than"
    r"|exceed[^.\n]{0,40} tokens?\b[^.\n]{0,20}|prompt exceeds|request (?:body )?too large for"
    r"|too many (?:input |prompt |total )?tokens|tokens in request more than"
    r"|tokens [^.\n]{0,40}exceed|reduce (?:the length|your prompt|your messages)"
    r"|token limit (?:was |is )?exceeded|ContextWindowExceeded"
    r"|(?:上下文|输入|提示|prompt)[^\n]{0,20}(?:超|过长)",
    re.IGNORECASE,
)
"""Words of known servers for a prompt that is too long.

Most name the window or the input, and that it is exceeded; the rest of the words varies between
servers and versions, and other errors have one of the two alone.
"""
_OTHER_LIMITS = re.compile(
    r"rate[ _-]?limit|per[ -](?:second|min|hour|day)|\bTP[MD]\b|quota|throttl|please wait"
    r"|try again (?:in|later)|^\W*max_\w*tokens(?!.*context[ _])|maximum tokens you requested"
    r"|(?:output|completion) tokens\b(?!.*context[ _])",
    re.IGNORECASE,
)
"""Words of limits on tokens over time, or on the answer alone."""
_FILTER_CODES = re.compile(
    r"content_?(?:policy|filter)|responsibleaipolicy|sensitive|censor|inspection_?failed"
    r"|^(?:invalid_prompt|moderation_blocked|flagged)$|guardrail_\w*(?:block|interven|violat)"
)
"""Matches codes and types, in lower case, for content that the provider refuses."""
_FILTER_WORDS = re.compile(
    r"content ?(?:management |filtering )?policy|safety system|usage (?:guidelines|polic)"
    r"|was flagged|moderation|content exists risk|inappropriate content|considered high risk"
    r"|sensitive (?:content|words|information)|new_sensitive|敏感|违规"
    r"|guardrail\w* (?:policy|check|interven|block|violat)|by (?:a |the |our )?guardrail",
    re.IGNORECASE,
)
_RATE_CODES = frozenset(
    {"rate_limit_error", "rate_limit_exceeded", "resource_exhausted", "throttlingexception"}
)
"""Codes and types, in lower case, that mean a rate limit if there is no status."""
_MATCHED_CHARS = 1000
"""Characters of a message that are matched, since providers quote the client's input in it."""
_ERRED_CODES = frozenset({"malformed_function_call", "unexpected_tool_call", "too_many_tool_calls"})
_TIMEOUT_STATUSES = frozenset({408, 504})
_VAGUE = frozenset({400, 403, 413, 422, 429})
_PAYMENT_REQUIRED = 402
_FORBIDDEN = 403
_TOO_LARGE = 413
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


def _names(failure: UpstreamFailure) -> set[str]:
    """Return the code and the type in lower case: servers have the same words in either."""
    return {name.lower() for name in (failure.code, failure.type) if name}


def _about_the_prompt(failure: UpstreamFailure) -> FailureClass | None:
    # Checked first: some providers send a status for it that otherwise means a bad key.
    names, words = _names(failure), failure.message if _is_vague(failure) else ""
    if _is_too_long(failure, names):
        return FailureClass.CONTEXT_LENGTH
    if any(map(_FILTER_CODES.search, names)) or _FILTER_WORDS.search(words):
        return FailureClass.CONTENT_FILTER
    return FailureClass.ERRED if names & _ERRED_CODES else None


def _is_too_long(failure: UpstreamFailure, names: set[str]) -> bool:
    """Return True if the prompt doesn't fit into the model's context window."""
    if names & _CONTEXT_CODES:
        return True
    if _LONG_STRING in names:
        return failure.param is None or failure.param.startswith(_PROMPT_FIELDS)
    # Local servers report it with a 500, or in a stream without any status.
    unclear = (failure.status or 500) >= 500 or failure.status in _VAGUE - {_TOO_MANY}
    if not unclear or failure.retry_after_s is not None:
        return False
    words = failure.message[:_MATCHED_CHARS]
    if not _CONTEXT_WORDS.search(words):
        return False
    # Groq's 413 is about one request, though it names the limit on tokens per minute.
    too_large = failure.status == _TOO_LARGE and "reduce your message" in words
    return too_large or not _OTHER_LIMITS.search(words)


def _about_the_account(failure: UpstreamFailure) -> FailureClass | None:
    if _names(failure) & _CREDIT_CODES:
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
    if failure.status == _TOO_MANY or (failure.status is None and _names(failure) & _RATE_CODES):
        return FailureClass.RATE_LIMITED
    if failure.status in _TIMEOUT_STATUSES and failure.kind is not FailureKind.IN_STREAM_ERROR:
        return FailureClass.TIMEOUT
    if failure.kind is FailureKind.IN_STREAM_ERROR and 400 <= (failure.status or 0) < 500:
        return FailureClass.REJECTED
    return None
