"""Google's Gemini API on the provider's side, sans IO.

Shapes from the Gemini API reference, "Generating content" and "GenerateContentResponse".
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, unquote

import msgspec

from actors.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.outcome import Reason, Usage
from actors.providers.simulated.messages import count_input_tokens
from actors.providers.simulated.rejections import Rejection
from web.simulate.body import json_object
from web.simulate.calls import Calls, WholeCall
from web.simulate.gemini_call import chat_call
from web.simulate.wire import Ask, BadCall

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


class CountedAsk(Ask, frozen=True):
    """A call, its tokens, which every frame tells, and how it wants the frames."""

    input_tokens: int = 0
    array: bool = False

    @property
    def stream_type(self) -> str | None:
        """Without `alt=sse` the frames are one array."""
        return _JSON if self.array else None


class Gemini:
    """The `gemini` wire format."""

    stream_type = "text/event-stream"

    def takes(self, path: str) -> bool:
        """Whether calls in this format are posted to `path`."""
        return _PATH.fullmatch(path) is not None

    def read(self, path: str, body: bytes) -> Ask:
        """Read a request; raises `BadCall`."""
        target, _, query = path.partition("?")
        found = _PATH.fullmatch(target)
        if found is None:
            raise BadCall("there is no model in the path")
        try:
            call = chat_call(unquote(found[1]), json_object(body))
        except RecursionError:
            raise BadCall("the body is nested too deeply") from None
        return CountedAsk(
            call,
            stream=found[2] == "streamG",
            include_usage=True,
            user=None,
            metadata=None,
            input_tokens=count_input_tokens(call.messages),
            array=parse_qs(query).get("alt") != ["sse"],
        )

    def renderer(self, ask: Ask, number: int, created: int) -> "ResponseRenderer":
        """A renderer for request `number`; responses do not tell when they were created."""
        return ResponseRenderer(ask, number)

    def error_body(self, rejection: Rejection) -> bytes:
        """The body of an error response."""
        details: list[dict[str, object]] = []
        if rejection.param is not None:
            violation = {"field": rejection.param, "description": rejection.message}
            details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
        if rejection.retry_after_s is not None:
            delay = f"{rejection.retry_after_s:g}s"
            details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": delay})
        return _encode(_error(rejection.status, rejection.message, rejection.code, details))


class ResponseRenderer:
    """Renders one response.

    The finish and the usage are one frame, so that the first waits for the second where the ask
    says that there is one. Function calls come whole, and refusals are text.
    """

    def __init__(self, ask: Ask, number: int) -> None:
        self._events = ask.stream_type is None
        self._told = ask.include_usage
        self._begun = False
        self._calls = Calls()
        self._finish: Reason | None = None
        model = ask.call.upstream_model
        self._meta = {"modelVersion": model, "responseId": f"simulated-{number}"}
        given = ask.input_tokens if isinstance(ask, CountedAsk) else 0
        so_far = {"usageMetadata": {"promptTokenCount": given, "totalTokenCount": given}}
        rest = _encode((so_far if self._told else {}) | self._meta)
        self._start = b'{"candidates":[{"content":{"parts":['
        self._end = b'],"role":"model"},"index":0}],' + rest[1:]

    def frame(self, chunk: Chunk) -> bytes:
        """The frames of a chunk in a stream."""
        call = self._calls.before(chunk)
        return (b"" if call is None else self._part(_called(call))) + self._frame(chunk)

    def torn(self, chunk: Chunk) -> bytes:
        """A frame that breaks off inside the chunk's text, framed as if it were whole."""
        after = _SSE_END if self._events else b""
        return self.frame(chunk).removesuffix(b'"}' + self._end + after) + after

    def broken_off(self) -> bytes:
        """The first half of a frame."""
        return (b"data: " if self._events else b",\r\n") + self._start[: len(self._start) // 2]

    def error_frame(self, code: str | None) -> bytes:
        """An error inside the stream."""
        return self._framed(_encode(_error(500, _FAILED, code, [])))

    def end(self) -> bytes:
        """An array's end; events have no end mark."""
        if self._events:
            return b""
        return b"]" if self._begun else b"[]"

    def whole(self, chunks: Sequence[Chunk]) -> bytes:
        """The body of an answer that is not streamed."""
        parts: list[dict[str, object]] = []
        calls = Calls()
        for chunk in chunks:
            if (call := calls.before(chunk)) is not None:
                parts.append(_called(call))
            if isinstance(chunk, TextChunk | RefusalChunk | ReasoningChunk):
                _grow(parts, _spoken(chunk))
        usages = [chunk.usage for chunk in chunks if isinstance(chunk, UsageChunk)]
        finishes = [chunk.reason for chunk in chunks if isinstance(chunk, FinishChunk)]
        usage = usages[-1] if usages else None
        return _encode(self._last(finishes[-1], parts, usage) if finishes else self._meta)

    def _frame(self, chunk: Chunk) -> bytes:
        match chunk:
            case TextChunk() | RefusalChunk() | ReasoningChunk():
                return self._part(_spoken(chunk))
            case ToolCallChunk():
                return b""
            case FinishChunk(reason=reason):
                self._finish = reason
                return b"" if self._told else self._finished(None)
            case UsageChunk(usage=usage):
                return self._finished(usage)
            case SkippedChunk():
                return self._framed(b'{"candidates":[}')

    def _part(self, part: Mapping[str, object]) -> bytes:
        return self._framed(self._start + _encode(part) + self._end)

    def _finished(self, usage: Usage | None) -> bytes:
        said: list[dict[str, object]] = [{"text": ""}] if self._begun else []
        return self._framed(_encode(self._last(self._finish or Reason.STOP, said, usage)))

    def _last(
        self, reason: Reason, parts: list[dict[str, object]], usage: Usage | None
    ) -> dict[str, object]:
        """The response with the finish; a filter before the first word blocks the prompt."""
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
        before = b"data: " if self._events else b",\r\n" if self._begun else b"["
        self._begun = True
        return before + document + (_SSE_END if self._events else b"")


def _spoken(chunk: TextChunk | RefusalChunk | ReasoningChunk) -> dict[str, object]:
    thought = {"thought": True} if isinstance(chunk, ReasoningChunk) else {}
    return {**thought, "text": chunk.text}


def _called(call: WholeCall) -> dict[str, object]:
    return {"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}}


def _grow(parts: list[dict[str, object]], part: dict[str, object]) -> None:
    """Neighbours of one kind are one part."""
    if parts and parts[-1].keys() == part.keys():
        parts[-1]["text"] = f"{parts[-1]['text']}{part['text']}"
    else:
        parts.append(part)


def _usage(usage: Usage) -> dict[str, int]:
    """Counts, without those that are zero; the candidate's are what was not thought."""
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
