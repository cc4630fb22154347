"""Errors of ended turns, and OpenAI's error object."""

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

ANSWER_REPLACED = ErrorInfo(
    status=502,
    message=(
        "The answer was restarted after part of it had been streamed."
        " Fetch the turn for the final text."
    ),
    type="upstream_error",
    code="answer_replaced",
)
"""Error at the end of a stream in a dialect that cannot discard streamed text."""


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
