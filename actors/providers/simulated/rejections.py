"""HTTP errors of a simulated provider in OpenAI's format, and the limits that a call sets."""

from collections.abc import Mapping

from msgspec import Struct

from actors.providers.simulated.options.behaviour import Fault
from actors.turn.model_call import JSON

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


class BadParameter(ValueError):
    """A parameter value that is rejected with 400; `param` is the parameter's name."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class Limits(Struct, frozen=True):
    """Conditions that end an answer early; `max_tokens` is None without a limit."""

    max_tokens: int | None
    stop: tuple[str, ...]


def read_limits(parameters: Mapping[str, JSON]) -> Limits:
    """Read `max_completion_tokens` (or `max_tokens`) and `stop`; raises `BadParameter`.

    `n` other than 1 is rejected too, since a simulated model gives one answer.
    """
    if parameters.get("n") not in (None, 1):
        raise BadParameter("n", "n must be 1: a simulated model gives one answer.")
    for name in ("max_completion_tokens", "max_tokens"):
        if parameters.get(name) is not None:
            return Limits(_whole(name, parameters[name]), _stop(parameters.get("stop")))
    return Limits(None, _stop(parameters.get("stop")))


def until_stop(text: str, stop: tuple[str, ...]) -> str:
    """Return the text before the first stop string."""
    found = [index for word in stop if (index := text.find(word)) >= 0]
    return text[: min(found, default=len(text))]


def _whole(name: str, value: JSON) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadParameter(name, f"{name} must be an integer of at least 1.")
    return value


def _stop(value: JSON) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [value]
    words = tuple(word for word in given if isinstance(word, str))
    if value is not None and len(words) < len(given):
        raise BadParameter("stop", "stop must be a string or a list of strings.")
    return tuple(word for word in words if word)


class Rejection(Struct, frozen=True, kw_only=True):
    """An HTTP error: status, fields of OpenAI's error object, and `Retry-After` in seconds."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after_s: float | None = None


NO_PREFILL = Rejection(
    status=400,
    message="This model does not support assistant message prefill: "
    "the conversation must end with a user message.",
    param="messages",
)
"""Error of a model that doesn't continue a trailing assistant message."""


def rejection(fault: Fault) -> Rejection:
    """Return the error for an `ERROR` fault."""
    server = ("server_error", None, "The simulated model failed.")
    other = ("invalid_request_error", None, "The simulated model refuses this request.")
    type, code, message = _BY_STATUS.get(fault.status, server if fault.status >= 500 else other)
    return Rejection(
        status=fault.status,
        message=_BY_CODE.get(fault.code or "", message),
        type=type,
        code=fault.code or code,
        retry_after_s=fault.retry_after_s,
    )
