"""Builds errors in the form of Anthropic's API, for streams and response bodies.

Source: Anthropic's API reference, "Errors".
"""

from actors.turn.outcome import CONTEXT_LENGTH, ErrorInfo

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
_TOO_LONG = "prompt is too long"
"""Words in which clients, such as Claude Code and LangChain, look for an exceeded context window.

The API has no code for it."""
_FIRST_WITH_CODE = 499
"""First status for which the error code is added to the message: these have few types."""


def error_type(status: int) -> str:
    """Return the error type for an HTTP status."""
    return _TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def error_event(info: ErrorInfo) -> dict[str, object]:
    """Return the error as `{"type": "error", "error": {"type", "message"}}`."""
    error = {"type": error_type(info.status), "message": _words(info)}
    return {"type": "error", "error": error}


def _words(info: ErrorInfo) -> str:
    """Return the message with what the API has no field for: the code, or its usual words."""
    code = info.code
    if code == CONTEXT_LENGTH:
        return info.message if _TOO_LONG in info.message else f"{_TOO_LONG}: {info.message}"
    if code is None or code in info.message or info.status < _FIRST_WITH_CODE:
        return info.message
    return f"{info.message} ({code})"
