"""Errors for clients: constructors for the common ones, and OpenAI's error object."""

from actors.turn.events import Ended
from actors.turn.outcome import ErrorInfo, Reason

_MESSAGES = {
    Reason.CLIENT_DISCONNECTED: (499, "All clients disconnected, so the answer was stopped."),
    Reason.TIME_BUDGET: (504, "The turn's time budget (total_s) is used up."),
    Reason.SERVER_SHUTDOWN: (503, "The server shut down before the answer was complete."),
    Reason.CANCEL_REQUESTED: (499, "The turn was cancelled on request."),
    Reason.OWNER_LOST: (
        500,
        "The server process died during this turn. The answer up to that point is kept.",
    ),
}


class ApiError(Exception):
    """An error response to a request; can be raised before the first byte of the response."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.info = info


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """Return a 400: the request is invalid, at the path `param`."""
    kind = "invalid_request_error"
    return ApiError(ErrorInfo(status=400, message=message, type=kind, code=code, param=param))


def not_found(message: str, *, code: str, param: str | None = None) -> ApiError:
    """Return a 404. It must not differ between unknown objects and those of another tenant."""
    kind = "invalid_request_error"
    return ApiError(ErrorInfo(status=404, message=message, type=kind, code=code, param=param))


def unavailable(message: str, *, code: str, retry_after_s: float) -> ApiError:
    """Return a 503 with a time to retry after."""
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
    """Return a 503: the database is not available."""
    text = "The store is unavailable. Try again later."
    return unavailable(text, code="store_unavailable", retry_after_s=2.0)


def ending_error(ended: Ended) -> ErrorInfo:
    """Return the error of a failed turn: its own, or the one for its reason."""
    return ended.error or error_of(ended.reason)


def error_of(reason: Reason) -> ErrorInfo:
    """Return the error for turns that ended for this reason without a specific error."""
    status, message = _MESSAGES.get(reason, (500, "The turn failed."))
    return ErrorInfo(status=status, message=message, type="server_error", code=reason.value)


def error_body(info: ErrorInfo) -> dict[str, object]:
    """Return OpenAI's error object, `{"error": {message, type, param, code}}`."""
    return {
        "error": {
            "message": info.message,
            "type": info.type,
            "param": info.param,
            "code": info.code,
        }
    }
