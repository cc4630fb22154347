"""What clients are told when something is wrong: OpenAI's error object, everywhere the same."""

from actors.events import Ended
from actors.outcome import ErrorInfo, Reason

_MESSAGES = {
    Reason.CLIENT_DISCONNECTED: (499, "Every client left, and the answer was stopped."),
    Reason.TIME_BUDGET: (504, "The turn's time budget (total_s) is used up."),
    Reason.SERVER_SHUTDOWN: (503, "The server shut down before the answer was whole."),
    Reason.CANCEL_REQUESTED: (499, "The turn was cancelled on request."),
    Reason.OWNER_LOST: (500, "The server died during this turn; what was journalled is kept."),
}


class ApiError(Exception):
    """Ends a request with this error; raised anywhere before the first byte of a response."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.info = info


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """A 400: something in the request is wrong, at the path `param`."""
    kind = "invalid_request_error"
    return ApiError(ErrorInfo(status=400, message=message, type=kind, code=code, param=param))


def not_found(message: str, *, code: str, param: str | None = None) -> ApiError:
    """A 404, the same for what is unknown and for what is somebody else's."""
    kind = "invalid_request_error"
    return ApiError(ErrorInfo(status=404, message=message, type=kind, code=code, param=param))


def unavailable(message: str, *, code: str, retry_after_s: float) -> ApiError:
    """A 503 that says when to come back."""
    return ApiError(
        ErrorInfo(
            status=503,
            message=message,
            type="server_error",
            code=code,
            retry_after_s=retry_after_s,
        )
    )


def store_unavailable() -> ApiError:
    """A 503: the database does not answer."""
    text = "The store is unavailable. Try again later."
    return unavailable(text, code="store_unavailable", retry_after_s=2.0)


def ending_error(ended: Ended) -> ErrorInfo:
    """The error that a turn without a finish ended in."""
    return ended.error or error_of(ended.reason)


def error_of(reason: Reason) -> ErrorInfo:
    """What is said of this end where it has no error of its own."""
    status, message = _MESSAGES.get(reason, (500, "The turn failed."))
    return ErrorInfo(status=status, message=message, type="server_error", code=reason.value)


def error_body(info: ErrorInfo) -> dict[str, object]:
    """`{"error": {message, type, param, code}}`."""
    return {
        "error": {
            "message": info.message,
            "type": info.type,
            "param": info.param,
            "code": info.code,
        }
    }
