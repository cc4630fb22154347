"""Errors as Anthropic's API tells them, in a stream or as a response's body.

Source: Anthropic's API reference, "Errors".
"""

from actors.outcome import ErrorInfo

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_FIRST_OF_OURS = 499
"""Statuses from here on have few types: what happened is told by our code."""


def error_type(status: int) -> str:
    """The type of an error that has, or would have, this HTTP status."""
    return _TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def error_event(info: ErrorInfo) -> dict[str, object]:
    """`{"type": "error", "error": {"type", "message"}}`."""
    error = {"type": error_type(info.status), "message": _words(info)}
    return {"type": "error", "error": error}


def _words(info: ErrorInfo) -> str:
    """The message, and our code for which the API has no field."""
    code = info.code
    if code is None or code in info.message or info.status < _FIRST_OF_OURS:
        return info.message
    return f"{info.message} ({code})"
