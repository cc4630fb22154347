"""Ollama's `/api/chat` on the provider's side, sans IO.

Shapes from Ollama's API documentation, "Generate a chat completion".
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

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
from actors.providers.simulated.rejections import Rejection
from web.simulate.body import json_object
from web.simulate.calls import Calls, WholeCall
from web.simulate.ollama_call import chat_call
from web.simulate.wire import Ask

_encode = msgspec.json.encode
_FAILED = "The simulated model failed midway."
_MORE = b',"done":false}\n'


class Ollama:
    """The `ollama` wire format."""

    stream_type = "application/x-ndjson"

    def takes(self, path: str) -> bool:
        """Whether calls in this format are posted to `path`."""
        return path == "/api/chat"

    def read(self, path: str, body: bytes) -> Ask:
        """Read a request's body; raises `BadCall`."""
        document = json_object(body)
        return Ask(
            chat_call(document),
            stream=document.get("stream") is not False,
            include_usage=True,
            user=None,
            metadata=None,
        )

    def renderer(self, ask: Ask, number: int, created: int) -> "LineRenderer":
        """A renderer for request `number`, created at this second since the epoch."""
        return LineRenderer(ask, number, created)

    def error_body(self, rejection: Rejection) -> bytes:
        """The body of an error response, which has nothing but the message."""
        return _encode({"error": rejection.message})


class LineRenderer:
    """Renders one answer.

    The finish and the usage are one line, so that the first waits for the second where the ask
    says that there is one. Tool calls come whole; there are no refusals and no filters, so that
    the one is text and the other an end like any other.
    """

    def __init__(self, ask: Ask, number: int, created: int) -> None:
        self._told = ask.include_usage
        self._calls = Calls()
        self._finish: Reason | None = None
        second = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._meta = {
            "model": ask.call.upstream_model,
            "created_at": f"{second}.{number % 10**9:09}Z",
        }
        self._start = _encode(self._meta)[:-1] + b',"message":{"role":"assistant","content":'

    def frame(self, chunk: Chunk) -> bytes:
        """The lines of a chunk in a stream."""
        call = self._calls.before(chunk)
        return (b"" if call is None else self._line({"tool_calls": [_called(call)]})) + self._frame(
            chunk
        )

    def torn(self, chunk: Chunk) -> bytes:
        """A line that breaks off inside the chunk's text, framed as if it were whole."""
        return self.frame(chunk).removesuffix(b'"}' + _MORE) + b"\n"

    def broken_off(self) -> bytes:
        """The first half of a line."""
        return self._start[: len(self._start) // 2]

    def error_frame(self, code: str | None) -> bytes:
        """An error inside the stream, which has no place for a code."""
        return _encode({"error": _FAILED}) + b"\n"

    def end(self) -> bytes:
        """Nothing: the end mark is in the line with the finish."""
        return b""

    def whole(self, chunks: Sequence[Chunk]) -> bytes:
        """The body of an answer that is not streamed."""
        found = [call for chunk in chunks if (call := self._calls.before(chunk)) is not None]
        spoken = [chunk for chunk in chunks if isinstance(chunk, TextChunk | RefusalChunk)]
        thought = "".join(chunk.text for chunk in chunks if isinstance(chunk, ReasoningChunk))
        message: dict[str, object] = {"content": "".join(chunk.text for chunk in spoken)}
        if thought:
            message["thinking"] = thought
        if found:
            message["tool_calls"] = [_called(call) for call in found]
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
                return b"" if self._told else self._finished(None)
            case UsageChunk(usage=usage):
                return self._finished(usage)
            case SkippedChunk():
                return _encode(self._meta)[:-1] + b',"message":}\n'

    def _line(self, said: Mapping[str, object]) -> bytes:
        return self._start + b'"",' + _encode(said)[1:] + _MORE

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


def _called(call: WholeCall) -> dict[str, object]:
    """A call as versions without ids give it."""
    return {"function": {"name": call.name, "arguments": call.arguments}}


def _counts(usage: Usage) -> dict[str, int]:
    """Tokens, and nanoseconds that a simulated model takes for them: a millisecond each."""
    given, made = usage.input_tokens * 10**6, usage.output_tokens * 10**6
    return {
        "total_duration": given + made,
        "load_duration": 0,
        "prompt_eval_count": usage.input_tokens,
        "prompt_eval_duration": given,
        "eval_count": usage.output_tokens,
        "eval_duration": made,
    }
