"""Parses client events of a Responses WebSocket and builds its error events.

`response.cancel` is an extension. Sources: OpenAI's guide to WebSocket mode, and its API reference,
"WebSocket events".
"""

from collections.abc import Mapping

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from actors.turn.model_call import JSON
from actors.turn.outcome import ErrorInfo
from web.http.api_error import ApiError, invalid
from web.http.error_format import http_status
from web.http.json_body import read_json
from web.http.responses import retry_header
from web.surfaces.responses.request import ResponsesRequest, read_responses_request
from web.surfaces.validation import unsupported, wrong

CREATE = "response.create"
CANCEL = "response.cancel"


class RequestRefused(ApiError):
    """The error for an invalid `response.create`; `previous` is the response that it continues."""

    def __init__(self, error: ApiError, previous: JSON) -> None:
        super().__init__(error.info)
        self.previous = previous if isinstance(previous, str) else None


_ENVELOPE = frozenset({"type", "event_id", "generate", "stream_id"})
"""Fields of `response.create` that a POST does not have."""


class Cancel(Struct, frozen=True):
    """A `response.cancel` event."""

    response_id: str | None
    """The response to cancel, or None for the one in progress."""


async def read_event(
    message: str | bytes, threads: trio.CapacityLimiter
) -> ResponsesRequest | Cancel:
    """Parse a client event, in one of `threads` if it is large; raises `ApiError` (400).

    A `response.create` is returned as its request.
    """
    if isinstance(message, bytes):
        raise invalid("Messages must be text, not binary.", code="unsupported_message")
    return await read_json(message, _event, threads, name="message")


def error_event(info: ErrorInfo, headers: Mapping[str, str] | None = None) -> bytes:
    """Return an `error` event with the status and headers that an HTTP response would have."""
    error: dict[str, object] = {
        "type": info.type,
        "code": info.code,
        "message": info.message,
        "param": info.param,
    }
    if all_headers := {**(headers or {}), **retry_header(info)}:
        error["headers"] = all_headers
    event = {"type": "error", "status": http_status(info.status), "error": error}
    return msgspec.json.encode(event)


def _event(raw: dict[str, JSON]) -> ResponsesRequest | Cancel:
    match raw.get("type"):
        case "response.create":
            try:
                return _ask(raw)
            except ApiError as error:
                raise RequestRefused(error, raw.get("previous_response_id")) from None
        case "response.cancel":
            return Cancel(_response_id(raw))
        case None:
            raise wrong("type", "field required.", "missing_required_parameter")
    raise wrong("type", f"must be {CREATE} or {CANCEL}.")


def _ask(raw: dict[str, JSON]) -> ResponsesRequest:
    if "response" in raw and "model" not in raw:
        raise wrong("response", "unknown field. Send its fields next to type.")
    if raw.get("stream_id") is not None:
        raise unsupported("stream_id", "a socket has one response at a time. Open another socket.")
    if (generate := raw.get("generate")) not in (None, True, False):
        raise wrong("generate", "must be true or false.")
    if raw.get("background"):
        words = "responses on a socket cannot run in the background. Use POST /v1/responses."
        raise unsupported("background", words)
    fields = {name: value for name, value in raw.items() if name not in _ENVELOPE}
    request = read_responses_request(fields | {"stream": True})
    return request if generate is not False else replace(request, generate=False)


def _response_id(raw: dict[str, JSON]) -> str | None:
    given = raw.get("response_id")
    if given is not None and not isinstance(given, str):
        raise wrong("response_id", "must be a string.")
    return given
