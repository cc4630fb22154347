"""HTTP errors of a simulated provider in OpenAI's format, and the limits that a call sets."""

from collections.abc import Mapping

from actors.providers.simulated.options.behaviour import Fault
from actors.turn.model_call import JSON
from actors.turn.outcome import ErrorInfo

_BY_STATUS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The simulated model refuses this request."),
    401: ("authentication_error", "invalid_api_key", "Incorrect API key provided."),
    402: ("insufficient_quota", "insufficient_quota", "The account has no credit left."),
    403: ("permission_error", None, "The key may not use this model."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    429: ("rate_limit_error", "rate_limit_exceeded", "Rate limit reached for requests."),
    503: ("server_error", "service_unavailable", "The simulated model is overloaded."),
    529: ("overloaded_error", "overloaded", "The simulated model is overloaded."),
}
_BY_CODE = {
    "context_length_exceeded": "This model's maximum context length is exceeded.",
    "content_policy_violation": "The request was rejected by the safety system.",
    "insufficient_quota": "The account has no credit left.",
}


class Rejected(ValueError):
    """A call that gets an HTTP error because of its parameter `param`."""

    def __init__(
        self, param: str, message: str, *, status: int = 400, code: str | None = None
    ) -> None:
        super().__init__(message)
        kind = "invalid_request_error"
        self.error = ErrorInfo(status=status, message=message, type=kind, code=code, param=param)


def max_tokens(parameters: Mapping[str, JSON]) -> int | None:
    """Return `max_completion_tokens` or else `max_tokens`; raises `Rejected`."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = parameters.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise Rejected(name, f"{name} must be an integer of at least 1.")
        return value
    return None


def stop_words(parameters: Mapping[str, JSON]) -> list[str]:
    """Return the `stop` strings that are not empty; raises `Rejected`."""
    value = parameters.get("stop")
    given = value if isinstance(value, list) else [value]
    words = [word for word in given if isinstance(word, str)]
    if value is not None and len(words) < len(given):
        raise Rejected("stop", "stop must be a string or a list of strings.")
    return [word for word in words if word]


def rejection(fault: Fault) -> ErrorInfo:
    """Return the error for an `ERROR` fault."""
    server = ("server_error", None, "The simulated model failed.")
    other = _BY_STATUS[400]
    type, code, message = _BY_STATUS.get(fault.status, server if fault.status >= 500 else other)
    return ErrorInfo(
        status=fault.status,
        message=_BY_CODE.get(fault.code or "", message),
        type=type,
        code=fault.code or code,
        retry_after_s=fault.retry_after_s,
    )
