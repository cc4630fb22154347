"""Server side of OpenAI's Responses API, sans IO: requests and errors.

Shapes come from OpenAI's API reference, "Create a model response".
"""

from collections.abc import Mapping

import msgspec
from msgspec import field

from actors.providers.simulated.rejections import Rejection
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import JSON, ModelCall
from web.drill.witness.formats.base import BadCall, IncomingCall
from web.drill.witness.formats.responses_input import messages_of, parameters_of
from web.drill.witness.formats.responses_renderer import ResponsesRenderer

_DEFAULTS: dict[str, JSON] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}
"""Request fields that the response object echoes, with their defaults."""


class ResponsesCall(IncomingCall, frozen=True):
    """A call with the request fields that the response object echoes."""

    echoed: dict[str, JSON] = field(default_factory=dict)


class OpenAIResponses:
    """Wire format `openai-responses`."""

    stream_type = "text/event-stream; charset=utf-8"

    def matches(self, path: str) -> bool:
        """Return whether calls in this format are posted to `path`."""
        return path == "/v1/responses"

    def read(self, path: str, body: bytes) -> IncomingCall:
        """Parse a request body. Raises `BadCall`."""
        document = _document(body)
        model, user = document.get("model"), document.get("user")
        if not isinstance(model, str):
            raise BadCall("model has to be a string", "model")
        metadata = document.get("metadata")
        return ResponsesCall(
            ModelCall(
                upstream_model=model,
                messages=read_messages(messages_of(document)),
                parameters=parameters_of(document),
            ),
            stream=document.get("stream") is True,
            include_usage=True,
            user=user if isinstance(user, str) else None,
            metadata=metadata if isinstance(metadata, dict) else None,
            echoed=_echoed(document),
        )

    def renderer(self, incoming: IncomingCall, number: int, created: int) -> ResponsesRenderer:
        """Return a renderer for request `number`; `created` is in seconds since the epoch."""
        echoed = incoming.echoed if isinstance(incoming, ResponsesCall) else {}
        return ResponsesRenderer(
            number,
            {"created_at": created, "model": incoming.call.upstream_model, **echoed},
            usage_follows=incoming.include_usage,
        )

    def error_body(self, rejection: Rejection) -> bytes:
        """Return the body of an error response."""
        return msgspec.json.encode({"error": error_object(rejection)})


def error_event(rejection: Rejection) -> bytes:
    """Return a rejection as a WebSocket error event, with status and headers in the event."""
    retry = rejection.retry_after_s
    headers = {} if retry is None else {"headers": {"Retry-After": f"{retry:g}"}}
    error = {**error_object(rejection), **headers}
    return msgspec.json.encode({"type": "error", "status": rejection.status, "error": error})


def error_object(rejection: Rejection) -> dict[str, JSON]:
    """Return a rejection as an error object."""
    return {
        "message": rejection.message,
        "type": rejection.type,
        "param": rejection.param,
        "code": rejection.code,
    }


def _document(body: bytes) -> dict[str, JSON]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadCall(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadCall("the body is not a JSON object")
    return document


def _echoed(document: Mapping[str, JSON]) -> dict[str, JSON]:
    fields = {
        name: default if (value := document.get(name)) is None else value
        for name, default in _DEFAULTS.items()
    }
    fields["text"] = {"format": {"type": "text"}, **_object(document.get("text"))}
    fields["reasoning"] = {"effort": None, "summary": None, **_object(document.get("reasoning"))}
    return fields


def _object(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}
