"""Server side of Anthropic's Messages API, sans IO.

Shapes come from Anthropic's API reference, "Create a message", "Streaming messages" and "Errors".
"""

from collections.abc import Mapping, Sequence

import msgspec

from actors.providers.simulated.messages import count_input_tokens
from actors.providers.simulated.rejections import Rejection
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.outcome import Reason, Usage
from web.drill.witness.formats.anthropic_call import chat_call, user_id
from web.drill.witness.formats.anthropic_content import SIGNATURE, message_content
from web.drill.witness.formats.anthropic_rules import check
from web.drill.witness.formats.base import BadCall, IncomingCall

_encode = msgspec.json.encode
_EVENT_END = b"\n\n"
_TEXT_END = b'"}}' + _EVENT_END
_PING = b'event: ping\ndata: {"type":"ping"}' + _EVENT_END
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}' + _EVENT_END
_FAILED = "The simulated model failed midway."

_STOP_REASONS = {
    Reason.STOP: "end_turn",
    Reason.LENGTH: "max_tokens",
    Reason.TOOL_CALLS: "tool_use",
    Reason.CONTENT_FILTER: "refusal",
}
_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_BY_CODE = {
    "context_length_exceeded": "prompt is too long: 200001 tokens > 200000 maximum",
    "content_policy_violation": "Output blocked by content filtering policy",
}
"""Messages by error code: the API has no codes and expresses them in the message."""


class CountedCall(IncomingCall, frozen=True):
    """A call with the number of its input tokens, which `message_start` contains."""

    input_tokens: int = 0


class Anthropic:
    """Wire format `anthropic`."""

    stream_type = "text/event-stream; charset=utf-8"

    def matches(self, path: str) -> bool:
        """Return whether calls in this format are posted to `path`."""
        return path == "/v1/messages"

    def read(self, path: str, body: bytes) -> IncomingCall:
        """Parse a request body. Raises `BadCall`."""
        document = _document(body)
        check(document)
        call, metadata = chat_call(document), document.get("metadata")
        return CountedCall(
            call,
            stream=document.get("stream") is True,
            include_usage=True,
            user=user_id(document),
            metadata=metadata if isinstance(metadata, dict) else None,
            input_tokens=count_input_tokens(call.messages),
        )

    def renderer(self, incoming: IncomingCall, number: int, created: int) -> "MessageRenderer":
        """Return a renderer for request `number`; messages have no creation time."""
        return MessageRenderer(incoming, number)

    def error_body(self, rejection: Rejection) -> bytes:
        """Return the body of an error response."""
        kind = _ERROR_TYPES.get(rejection.status)
        fallback = "api_error" if rejection.status >= 500 else "invalid_request_error"
        message = _BY_CODE.get(rejection.code or "", rejection.message)
        return _encode(_error(kind or fallback, message))


class MessageRenderer:
    """A renderer of one message, as stream events or as one document.

    Finish and usage share one event, so the finish waits for the usage if `include_usage` is true.
    The API has no refusals apart from text, so a refusal is rendered as text.
    """

    def __init__(self, incoming: IncomingCall, number: int) -> None:
        self._id = f"msg_simulated_{number}"
        self._ask = incoming
        self._started = False
        self._blocks = 0
        self._open = ""
        """Type of the open content block, or empty."""
        self._finish: Reason | None = None

    def frame(self, chunk: Chunk) -> bytes:
        """Return the stream events of a chunk; `message_start` precedes the first."""
        if self._started:
            return self._frame(chunk)
        self._started = True
        return self._start() + self._frame(chunk)

    def torn_frame(self, chunk: Chunk) -> bytes:
        """Return an event whose JSON is cut inside the chunk's text, framed as if complete."""
        return self.frame(chunk).removesuffix(_TEXT_END) + _EVENT_END

    def half_frame(self) -> bytes:
        """Return the first half of an event."""
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","ind'

    def error_frame(self, code: str | None) -> bytes:
        """Return an in-stream error event; a code that is an error type of the API is its type."""
        known = code if code in _ERROR_TYPES.values() else None
        return _event("error", _error(known or "api_error", _FAILED))

    def end(self) -> bytes:
        """Return the final events of the message."""
        return (b"" if self._finish is None else self._last(None)) + _STOP

    def whole(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the body of a non-streamed answer."""
        usages = [chunk.usage for chunk in chunks if isinstance(chunk, UsageChunk)]
        finishes = [chunk.reason for chunk in chunks if isinstance(chunk, FinishChunk)]
        message = self._message() | (_stopped(finishes[-1]) if finishes else {})
        message["content"] = message_content(chunks)
        del message["usage"]
        return _encode(message | ({"usage": _usage(usages[-1])} if usages else {}))

    def _frame(self, chunk: Chunk) -> bytes:
        match chunk:
            case TextChunk(text=text) | RefusalChunk(text=text):
                start = self._open_block({"type": "text", "text": ""})
                return start + self._delta("text_delta", "text", text)
            case ReasoningChunk(text=text):
                start = self._open_block({"type": "thinking", "thinking": "", "signature": ""})
                return start + self._delta("thinking_delta", "thinking", text)
            case ToolCallChunk():
                return self._tool_call(chunk)
            case FinishChunk(reason=reason):
                self._finish = reason
                return self._close() + (b"" if self._ask.include_usage else self._last(None))
            case UsageChunk(usage=usage):
                return self._last(usage)
            case SkippedChunk():
                return b'event: content_block_delta\ndata: {"type":"content_block_delta",}\n\n'

    def _tool_call(self, chunk: ToolCallChunk) -> bytes:
        start = b""
        if chunk.id is not None:
            nothing: dict[str, object] = {}
            block = {"type": "tool_use", "id": chunk.id, "name": chunk.name, "input": nothing}
            start = self._close() + self._open_block(block)
        return start + self._delta("input_json_delta", "partial_json", chunk.arguments)

    def _start(self) -> bytes:
        return _event("message_start", {"type": "message_start", "message": self._message()})

    def _message(self) -> dict[str, object]:
        given = self._ask.input_tokens if isinstance(self._ask, CountedCall) else 0
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._ask.call.upstream_model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(Usage(input_tokens=given, output_tokens=1)),
        }

    def _open_block(self, block: Mapping[str, object]) -> bytes:
        """Open a block like this unless one of its type is open; a ping follows the first one."""
        kind = str(block["type"])
        if self._open == kind:
            return b""
        closed = self._close()
        self._open = kind
        start = {"type": "content_block_start", "index": self._blocks, "content_block": block}
        return closed + _event("content_block_start", start) + (b"" if self._blocks else _PING)

    def _delta(self, kind: str, field: str, text: str) -> bytes:
        head = (
            f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":'
            f'{self._blocks},"delta":{{"type":"{kind}","{field}":'
        )
        return head.encode() + _encode(text) + b"}}" + _EVENT_END

    def _close(self) -> bytes:
        """Close the open block; thinking ends with a signature, needed to send it back."""
        if not self._open:
            return b""
        thought = self._open == "thinking"
        signed = self._delta("signature_delta", "signature", SIGNATURE) if thought else b""
        stop = {"type": "content_block_stop", "index": self._blocks}
        self._open = ""
        self._blocks += 1
        return signed + _event("content_block_stop", stop)

    def _last(self, usage: Usage | None) -> bytes:
        """Return the `message_delta` with the stop reason and, if given, the usage."""
        event: dict[str, object] = {
            "type": "message_delta",
            "delta": _stopped(self._finish) if self._finish else {},
        }
        self._finish = None
        return _event("message_delta", event | ({"usage": _usage(usage)} if usage else {}))


def _document(body: bytes) -> dict[str, object]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadCall(f"The request body is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadCall("The request body is not a JSON object")
    return document


def _event(name: str, data: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b" % (name.encode(), _encode(data)) + _EVENT_END


def _error(kind: str, message: str) -> dict[str, object]:
    error = {"type": kind, "message": message}
    return {"type": "error", "error": error, "request_id": "req_simulated"}


def _stopped(reason: Reason) -> dict[str, object]:
    result: dict[str, object] = {"stop_reason": _STOP_REASONS[reason], "stop_sequence": None}
    if reason is Reason.CONTENT_FILTER:
        result["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    return result


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "input_tokens": usage.input_tokens - usage.cached_input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }
