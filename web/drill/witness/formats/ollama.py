"""Server side of Ollama's `/api/chat`, sans IO.

Shapes come from Ollama's API documentation, "Generate a chat completion".
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

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
from web.drill.witness.formats.base import CallCollector, IncomingCall, WholeCall, json_object
from web.drill.witness.formats.ollama_call import chat_call

_encode = msgspec.json.encode
_FAILED = "The simulated model failed midway."
_MORE = b',"done":false}\n'


class Ollama:
    """Wire format `ollama`."""

    stream_type = "application/x-ndjson"

    def matches(self, path: str) -> bool:
        """Return whether calls in this format are posted to `path`."""
        return path == "/api/chat"

    def read(self, path: str, body: bytes) -> IncomingCall:
        """Parse a request body. Raises `BadCall`."""
        document = json_object(body)
        return IncomingCall(
            chat_call(document),
            stream=document.get("stream") is not False,
            include_usage=True,
            user=None,
            metadata=None,
        )

    def renderer(self, incoming: IncomingCall, number: int, created: int) -> "LineRenderer":
        """Return a renderer for request `number`; `created` is in seconds since the epoch."""
        return LineRenderer(incoming, number, created)

    def error_body(self, rejection: Rejection) -> bytes:
        """Return the body of an error response, which contains only the message."""
        return _encode({"error": rejection.message})


class LineRenderer:
    """A renderer of one answer.

    Finish and usage share one line, so the finish waits for the usage if `include_usage` is true.
    Tool calls are sent whole. Ollama has no refusals and no content filter: refusals are text and
    a filtered answer ends with `stop`.
    """

    def __init__(self, incoming: IncomingCall, number: int, created: int) -> None:
        self._include_usage = incoming.include_usage
        self._calls = CallCollector()
        self._finish: Reason | None = None
        second = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._meta = {
            "model": incoming.call.upstream_model,
            "created_at": f"{second}.{number % 10**9:09}Z",
        }
        self._start = _encode(self._meta)[:-1] + b',"message":{"role":"assistant","content":'

    def frame(self, chunk: Chunk) -> bytes:
        """Return the stream lines of a chunk."""
        call = self._calls.completed_by(chunk)
        return (
            b"" if call is None else self._line({"tool_calls": [_call_part(call)]})
        ) + self._frame(chunk)

    def torn_frame(self, chunk: Chunk) -> bytes:
        """Return a line whose JSON is cut inside the chunk's text, ended as if complete."""
        return self.frame(chunk).removesuffix(b'"}' + _MORE) + b"\n"

    def half_frame(self) -> bytes:
        """Return the first half of a line."""
        return self._start[: len(self._start) // 2]

    def error_frame(self, code: str | None) -> bytes:
        """Return a line with an in-stream error, which has no code field."""
        return _encode({"error": _FAILED}) + b"\n"

    def end(self) -> bytes:
        """Return nothing: the line with the finish is the end marker."""
        return b""

    def whole(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the body of a non-streamed answer."""
        found = [call for chunk in chunks if (call := self._calls.completed_by(chunk)) is not None]
        texts = [chunk for chunk in chunks if isinstance(chunk, TextChunk | RefusalChunk)]
        thought = "".join(chunk.text for chunk in chunks if isinstance(chunk, ReasoningChunk))
        message: dict[str, object] = {"content": "".join(chunk.text for chunk in texts)}
        if thought:
            message["thinking"] = thought
        if found:
            message["tool_calls"] = [_call_part(call) for call in found]
        usages = [chunk.usage for chunk in chunks if isinstance(chunk, UsageChunk)]
        finishes = [chunk.reason for chunk in chunks if isinstance(chunk, FinishChunk)]
        return self._last(
            finishes[-1] if finishes else Reason.STOP, message, usages[-1] if usages else None
        )

    def _frame(self, chunk: Chunk) -> bytes:
        match chunk:
            case TextChunk(text=text) | RefusalChunk(text=text):
                return self._start + _encode(text) + b"}" + _MORE
            case ReasoningChunk(text=text):
                return self._line({"thinking": text})
            case ToolCallChunk():
                return b""
            case FinishChunk(reason=reason):
                self._finish = reason
                return b"" if self._include_usage else self._finished(None)
            case UsageChunk(usage=usage):
                return self._finished(usage)
            case SkippedChunk():
                return _encode(self._meta)[:-1] + b',"message":}\n'

    def _line(self, message: Mapping[str, object]) -> bytes:
        return self._start + b'"",' + _encode(message)[1:] + _MORE

    def _finished(self, usage: Usage | None) -> bytes:
        return self._last(self._finish or Reason.STOP, {"content": ""}, usage) + b"\n"

    def _last(self, reason: Reason, message: Mapping[str, object], usage: Usage | None) -> bytes:
        return _encode(
            {
                **self._meta,
                "message": {"role": "assistant", **message},
                "done": True,
                "done_reason": "length" if reason is Reason.LENGTH else "stop",
                **({} if usage is None else _counts(usage)),
            }
        )


def _call_part(call: WholeCall) -> dict[str, object]:
    """Return a call without an id, as older Ollama versions send it."""
    return {"function": {"name": call.name, "arguments": call.arguments}}


def _counts(usage: Usage) -> dict[str, int]:
    """Return token counts and durations in nanoseconds, at one millisecond per token."""
    given, made = usage.input_tokens * 10**6, usage.output_tokens * 10**6
    return {
        "total_duration": given + made,
        "load_duration": 0,
        "prompt_eval_count": usage.input_tokens,
        "prompt_eval_duration": given,
        "eval_count": usage.output_tokens,
        "eval_duration": made,
    }
