"""Server side of Google's Gemini API, sans IO.

Shapes come from the Gemini API reference, "Generating content" and "GenerateContentResponse".
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, unquote

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
from web.drill.witness.formats.base import (
    BadCall,
    CallCollector,
    IncomingCall,
    WholeCall,
    json_object,
)
from web.drill.witness.formats.gemini_call import chat_call

_encode = msgspec.json.encode
_PATH = re.compile(r"/v1(?:alpha|beta)?/models/([^/?]{1,500}):(g|streamG)enerateContent")
_JSON = "application/json; charset=UTF-8"
_SSE_END = b"\r\n\r\n"
_TYPE = "type.googleapis.com/google.rpc."
_FAILED = "The simulated model failed midway."

_FINISHES = {
    Reason.STOP: "STOP",
    Reason.TOOL_CALLS: "STOP",
    Reason.LENGTH: "MAX_TOKENS",
    Reason.CONTENT_FILTER: "SAFETY",
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class CountedCall(IncomingCall, frozen=True):
    """A call with its input tokens, which every frame contains, and its stream type.

    `array` is true if the client wants the frames as one JSON array.
    """

    input_tokens: int = 0
    array: bool = False

    @property
    def stream_type(self) -> str | None:
        """Content type of a stream without `alt=sse`, which is one JSON array; else None."""
        return _JSON if self.array else None


class Gemini:
    """Wire format `gemini`."""

    stream_type = "text/event-stream"

    def matches(self, path: str) -> bool:
        """Return whether calls in this format are posted to `path`."""
        return _PATH.fullmatch(path) is not None

    def read(self, path: str, body: bytes) -> IncomingCall:
        """Parse a request. Raises `BadCall`."""
        target, _, query = path.partition("?")
        found = _PATH.fullmatch(target)
        if found is None:
            raise BadCall("the path contains no model")
        try:
            call = chat_call(unquote(found[1]), json_object(body))
        except RecursionError:
            raise BadCall("the body is nested too deeply") from None
        return CountedCall(
            call,
            stream=found[2] == "streamG",
            include_usage=True,
            user=None,
            metadata=None,
            input_tokens=count_input_tokens(call.messages),
            array=parse_qs(query).get("alt") != ["sse"],
        )

    def renderer(self, incoming: IncomingCall, number: int, created: int) -> "ResponseRenderer":
        """Return a renderer for request `number`; responses have no creation time."""
        return ResponseRenderer(incoming, number)

    def error_body(self, rejection: Rejection) -> bytes:
        """Return the body of an error response."""
        details: list[dict[str, object]] = []
        if rejection.param is not None:
            violation = {"field": rejection.param, "description": rejection.message}
            details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
        if rejection.retry_after_s is not None:
            delay = f"{rejection.retry_after_s:g}s"
            details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": delay})
        return _encode(_error(rejection.status, rejection.message, rejection.code, details))


class ResponseRenderer:
    """A renderer of one response.

    Finish and usage share one frame, so the finish waits for the usage if `include_usage` is true.
    Function calls are sent whole; refusals are text.
    """

    def __init__(self, incoming: IncomingCall, number: int) -> None:
        self._events = incoming.stream_type is None
        self._include_usage = incoming.include_usage
        self._started = False
        self._calls = CallCollector()
        self._finish: Reason | None = None
        model = incoming.call.upstream_model
        self._meta = {"modelVersion": model, "responseId": f"simulated-{number}"}
        given = incoming.input_tokens if isinstance(incoming, CountedCall) else 0
        so_far = {"usageMetadata": {"promptTokenCount": given, "totalTokenCount": given}}
        rest = _encode((so_far if self._include_usage else {}) | self._meta)
        self._start = b'{"candidates":[{"content":{"parts":['
        self._end = b'],"role":"model"},"index":0}],' + rest[1:]

    def frame(self, chunk: Chunk) -> bytes:
        """Return the stream frames of a chunk."""
        call = self._calls.completed_by(chunk)
        return (b"" if call is None else self._part(_call_part(call))) + self._frame(chunk)

    def torn_frame(self, chunk: Chunk) -> bytes:
        """Return a frame whose JSON is cut inside the chunk's text, framed as if complete."""
        after = _SSE_END if self._events else b""
        return self.frame(chunk).removesuffix(b'"}' + self._end + after) + after

    def half_frame(self) -> bytes:
        """Return the first half of a frame."""
        return (b"data: " if self._events else b",\r\n") + self._start[: len(self._start) // 2]

    def error_frame(self, code: str | None) -> bytes:
        """Return a frame with an in-stream error."""
        return self._framed(_encode(_error(500, _FAILED, code, [])))

    def end(self) -> bytes:
        """Return the end of the array; server-sent events have no end marker."""
        if self._events:
            return b""
        return b"]" if self._started else b"[]"

    def whole(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the body of a non-streamed answer."""
        parts: list[dict[str, object]] = []
        calls = CallCollector()
        for chunk in chunks:
            if (call := calls.completed_by(chunk)) is not None:
                parts.append(_call_part(call))
            if isinstance(chunk, TextChunk | RefusalChunk | ReasoningChunk):
                _grow(parts, _text_part(chunk))
        usages = [chunk.usage for chunk in chunks if isinstance(chunk, UsageChunk)]
        finishes = [chunk.reason for chunk in chunks if isinstance(chunk, FinishChunk)]
        usage = usages[-1] if usages else None
        return _encode(self._last(finishes[-1], parts, usage) if finishes else self._meta)

    def _frame(self, chunk: Chunk) -> bytes:
        match chunk:
            case TextChunk() | RefusalChunk() | ReasoningChunk():
                return self._part(_text_part(chunk))
            case ToolCallChunk():
                return b""
            case FinishChunk(reason=reason):
                self._finish = reason
                return b"" if self._include_usage else self._finished(None)
            case UsageChunk(usage=usage):
                return self._finished(usage)
            case SkippedChunk():
                return self._framed(b'{"candidates":[}')

    def _part(self, part: Mapping[str, object]) -> bytes:
        return self._framed(self._start + _encode(part) + self._end)

    def _finished(self, usage: Usage | None) -> bytes:
        parts: list[dict[str, object]] = [{"text": ""}] if self._started else []
        return self._framed(_encode(self._last(self._finish or Reason.STOP, parts, usage)))

    def _last(
        self, reason: Reason, parts: list[dict[str, object]], usage: Usage | None
    ) -> dict[str, object]:
        """Return the response with the finish; a filter without any content blocks the prompt."""
        counted = {} if usage is None else {"usageMetadata": _usage(usage)}
        if reason is Reason.CONTENT_FILTER and not parts:
            return {"promptFeedback": {"blockReason": "SAFETY"}, **counted, **self._meta}
        candidate = {
            "content": {"parts": parts, "role": "model"},
            "finishReason": _FINISHES[reason],
            "index": 0,
        }
        return {"candidates": [candidate], **counted, **self._meta}

    def _framed(self, document: bytes) -> bytes:
        before = b"data: " if self._events else b",\r\n" if self._started else b"["
        self._started = True
        return before + document + (_SSE_END if self._events else b"")


def _text_part(chunk: TextChunk | RefusalChunk | ReasoningChunk) -> dict[str, object]:
    thought = {"thought": True} if isinstance(chunk, ReasoningChunk) else {}
    return {**thought, "text": chunk.text}


def _call_part(call: WholeCall) -> dict[str, object]:
    return {"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}}


def _grow(parts: list[dict[str, object]], part: dict[str, object]) -> None:
    """Append a part; neighbours of one kind are merged."""
    if parts and parts[-1].keys() == part.keys():
        parts[-1]["text"] = f"{parts[-1]['text']}{part['text']}"
    else:
        parts.append(part)


def _usage(usage: Usage) -> dict[str, int]:
    """Return the non-zero counts; candidate tokens exclude thinking."""
    thoughts = usage.reasoning_tokens
    counts = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - thoughts,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
        "cachedContentTokenCount": usage.cached_input_tokens,
        "thoughtsTokenCount": thoughts,
    }
    return {name: count for name, count in counts.items() if count or name == "promptTokenCount"}


def _error(
    status: int, message: str, code: str | None, details: list[dict[str, object]]
) -> dict[str, object]:
    if code is not None:
        details = [*details, {"@type": f"{_TYPE}ErrorInfo", "reason": code, "domain": "trouper"}]
    name = _STATUSES.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
    error: dict[str, object] = {"code": status, "message": message, "status": name}
    return {"error": error | ({"details": details} if details else {})}
