"""OpenAI's Responses on the provider's side, sans IO: requests and errors.

Shapes from OpenAI's API reference, "Create a model response".
"""

from collections.abc import Mapping

import msgspec
from msgspec import field

from actors.providers.base import JSON, ModelCall
from actors.providers.simulated.rejections import Rejection
from web.simulate.responses_input import messages_of, parameters_of
from web.simulate.responses_renderer import ResponsesRenderer
from web.simulate.wire import Ask, BadCall

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
"""What an answer repeats of its request, and what stands there where the request said nothing."""


class ResponsesAsk(Ask, frozen=True):
    """A call, and what of it an answer repeats."""

    repeated: dict[str, JSON] = field(default_factory=dict)


class OpenAIResponses:
    """The `openai-responses` wire format."""

    stream_type = "text/event-stream; charset=utf-8"

    def takes(self, path: str) -> bool:
        """Whether calls in this format are posted to `path`."""
        return path == "/v1/responses"

    def read(self, path: str, body: bytes) -> Ask:
        """Read a request's body; raises `BadCall`."""
        document = _document(body)
        model, user = document.get("model"), document.get("user")
        if not isinstance(model, str):
            raise BadCall("model has to be a string", "model")
        metadata = document.get("metadata")
        return ResponsesAsk(
            ModelCall(
                upstream_model=model,
                messages=messages_of(document),
                parameters=parameters_of(document),
            ),
            stream=document.get("stream") is True,
            include_usage=True,
            user=user if isinstance(user, str) else None,
            metadata=metadata if isinstance(metadata, dict) else None,
            repeated=_repeated(document),
        )

    def renderer(self, ask: Ask, number: int, created: int) -> ResponsesRenderer:
        """A renderer for request `number`, created at this second since the epoch."""
        repeated = ask.repeated if isinstance(ask, ResponsesAsk) else {}
        return ResponsesRenderer(
            number,
            {"created_at": created, "model": ask.call.upstream_model, **repeated},
            usage_follows=ask.include_usage,
        )

    def error_body(self, rejection: Rejection) -> bytes:
        """The body of an error response."""
        return msgspec.json.encode({"error": error_object(rejection)})


def error_event(rejection: Rejection) -> bytes:
    """A rejection as it comes over a WebSocket, which has no status and no headers."""
    retry = rejection.retry_after_s
    headers = {} if retry is None else {"headers": {"Retry-After": f"{retry:g}"}}
    error = {**error_object(rejection), **headers}
    return msgspec.json.encode({"type": "error", "status": rejection.status, "error": error})


def error_object(rejection: Rejection) -> dict[str, JSON]:
    """A rejection as an error object."""
    return {
        "message": rejection.message,
        "type": rejection.type,
        "param": rejection.param,
        "code": rejection.code,
    }


def _document(body: bytes) -> dict[str, JSON]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise BadCall(f"the body is not JSON: {problem}") from None
    if not isinstance(document, dict):
        raise BadCall("the body is not a JSON object")
    return document


def _repeated(document: Mapping[str, JSON]) -> dict[str, JSON]:
    said = {
        name: default if (value := document.get(name)) is None else value
        for name, default in _DEFAULTS.items()
    }
    said["text"] = {"format": {"type": "text"}, **_object(document.get("text"))}
    said["reasoning"] = {"effort": None, "summary": None, **_object(document.get("reasoning"))}
    return said


def _object(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}
