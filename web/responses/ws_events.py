"""What is said on a Responses WebSocket besides the events of a response.

Sources: OpenAI's guide to WebSocket mode, and its API reference, "WebSocket events". Of what a
client may say there, `response.cancel` is an extension of ours.
"""

from collections.abc import Mapping

import msgspec
import trio
from msgspec import Struct

from actors.outcome import ErrorInfo
from actors.providers.base import JSON
from web.errors import ApiError, invalid
from web.json_body import read_json
from web.json_responses import http_status, retry_header
from web.responses.items import wrong
from web.responses.request import ResponsesAsk, read_responses_request

CREATE = "response.create"
CANCEL = "response.cancel"

_ENVELOPE = frozenset({"type", "event_id", "generate", "stream_id"})
"""Fields that are not those of a POST."""


class Create(Struct, frozen=True):
    """The client asks for a response."""

    ask: ResponsesAsk


class Cancel(Struct, frozen=True):
    """The client wants the response no more; None where it means whichever is in progress."""

    response_id: str | None


async def read_event(message: str | bytes, threads: trio.CapacityLimiter) -> Create | Cancel:
    """What the client says; raises `ApiError` (400).

    A large message is read in one of `threads`.
    """
    if isinstance(message, bytes):
        raise invalid("Messages must be texts, not binary.", code="unsupported_message")
    return await read_json(message, _event, threads, name="message")


def error_event(info: ErrorInfo, headers: Mapping[str, str] | None = None) -> bytes:
    """An `error` event with what would be the status and the headers of a response over HTTP."""
    error: dict[str, object] = {
        "type": info.type,
        "code": info.code,
        "message": info.message,
        "param": info.param,
    }
    if told := {**(headers or {}), **retry_header(info)}:
        error["headers"] = told
    event = {"type": "error", "status": http_status(info.status), "error": error}
    return msgspec.json.encode(event)


def response_in_progress() -> ApiError:
    """A 409: there is one response at a time."""
    text = f"A response is in progress on this socket. Wait for its last event, or send {CANCEL}."
    return ApiError(
        ErrorInfo(
            status=409, message=text, type="invalid_request_error", code="response_in_progress"
        )
    )


def _event(raw: dict[str, JSON]) -> Create | Cancel:
    match raw.get("type"):
        case "response.create":
            return Create(_ask(raw))
        case "response.cancel":
            return Cancel(_response_id(raw))
        case None:
            raise wrong("type", "field required.", "missing_required_parameter")
    raise wrong("type", f"must be {CREATE} or {CANCEL}.")


def _ask(raw: dict[str, JSON]) -> ResponsesAsk:
    if "response" in raw and "model" not in raw:
        raise wrong("response", "the fields of a response stand beside type, not in an object.")
    if raw.get("stream_id") is not None:
        words = "there is one response at a time on a socket; open another socket."
        raise wrong("stream_id", words, "unsupported_parameter")
    if raw.get("generate") not in (None, True):
        words = "there is nothing to be warmed up here; leave it out."
        raise wrong("generate", words, "unsupported_parameter")
    if raw.get("background"):
        words = "a response on a socket cannot run in the background; POST it."
        raise wrong("background", words, "unsupported_parameter")
    fields = {name: value for name, value in raw.items() if name not in _ENVELOPE}
    return read_responses_request(fields | {"stream": True})


def _response_id(raw: dict[str, JSON]) -> str | None:
    given = raw.get("response_id")
    if given is not None and not isinstance(given, str):
        raise wrong("response_id", "must be a string.")
    return given
