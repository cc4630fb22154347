"""Server side of Ollama's `/api/chat`, sans IO.

Shapes come from Ollama's API documentation, "Generate a chat completion".
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Raw
from pydantic import ConfigDict, Field

from actors.turn.chunks import ReasoningChunk, RefusalChunk, TextChunk
from actors.turn.model_call import JSON
from actors.turn.outcome import ErrorInfo, Reason, Usage
from web.drill.witness.formats.base import FAILED, Content, IncomingCall, Renderer, encode
from web.drill.witness.formats.foreign_call import (
    CallCollector,
    Chat,
    Fields,
    Part,
    image_part,
    json_schema,
    read_fields,
    text_part,
)

_MORE = b',"done":false}\n'
_EFFORTS = {True: "medium", False: "none"}


class _Function(Fields):
    name: str
    arguments: dict[str, JSON]


class _Call(Fields):
    function: _Function
    id: str | None = None


class _Message(Fields):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    images: list[str] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    tool_name: str | None = None


class _Request(Fields):
    """A request; all other fields are parameters."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1)]
    messages: list[_Message]
    stream: bool | None = None
    think: bool | str | None = None
    options: dict[str, JSON] | None = None
    format: str | dict[str, JSON] | None = None


class Ollama:
    """Wire format `ollama`."""

    def matches(self, path: str) -> bool:
        return path == "/api/chat"

    def read(self, path: str, body: bytes) -> IncomingCall:
        request = read_fields(body, _Request)
        return IncomingCall(
            call=_chat(request.messages).call(request.model, _parameters(request)),
            stream=request.stream is not False,
            stream_type="application/x-ndjson",
        )

    def renderer(self, incoming: IncomingCall, number: int, created: int) -> "LineRenderer":
        """Return a renderer for request `number`; `created` is in seconds since the epoch."""
        return LineRenderer(incoming, number, created)

    def error_body(self, rejection: ErrorInfo) -> bytes:
        """Return the body of an error response, which contains only the message."""
        return encode({"error": rejection.message})


def _chat(messages: Sequence[_Message]) -> Chat:
    chat = Chat()
    for message in messages:
        if message.role == "assistant":
            made = [(call.id, call.function) for call in message.tool_calls or ()]
            calls = [(id, function.name, function.arguments) for id, function in made]
            chat.answer(message.content, calls)
        elif message.role == "tool":
            chat.result(message.tool_call_id, message.tool_name, message.content)
        else:
            chat.say(message.role, _parts(message))
    return chat


def _parts(message: _Message) -> list[Part]:
    """Return text and images; Ollama's images have no media type, so PNG."""
    images = [image_part(f"data:image/png;base64,{image}") for image in message.images or ()]
    return [text_part(message.content), *images] if message.content or not images else images


def _parameters(request: _Request) -> dict[str, JSON]:
    options = request.options or {}
    chat = {**(request.model_extra or {}), **options}
    if "num_predict" in chat:
        chat["max_tokens"] = chat.pop("num_predict")
    if request.think is not None:
        think = request.think
        chat["reasoning_effort"] = _EFFORTS[think] if isinstance(think, bool) else think
    if isinstance(request.format, dict):
        chat["response_format"] = json_schema(request.format)
    elif request.format == "json":
        chat["response_format"] = {"type": "json_object"}
    return chat


class LineRenderer(Renderer):
    """A renderer of one answer.

    Tool calls are sent whole. Ollama has no refusals and no content filter: refusals are text and
    a filtered answer ends with `stop`.
    """

    frame_end = b"\n"

    def __init__(self, incoming: IncomingCall, number: int, created: int) -> None:
        super().__init__(incoming)
        self._calls = CallCollector()
        second = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._meta = {
            "model": incoming.call.upstream_model,
            "created_at": f"{second}.{number % 10**9:09}Z",
        }
        self._start = encode(self._meta)[:-1] + b',"message":{"role":"assistant","content":'

    def content(self, chunk: Content | None) -> bytes:
        calls = self._call_parts([chunk])
        frames = self._line({"tool_calls": calls}) if calls else b""
        match chunk:
            case TextChunk(text=text) | RefusalChunk(text=text):
                return frames + self._start + encode(text) + b"}" + _MORE
            case ReasoningChunk(text=text):
                return frames + self._line({"thinking": text})
        return frames

    def finish(self, reason: Reason, usage: Usage | None) -> bytes:
        return self.content(None) + self._last(reason, {"content": ""}, usage) + b"\n"

    def malformed(self) -> bytes:
        return encode(self._meta)[:-1] + b',"message":}\n'

    def half_frame(self) -> bytes:
        return self._start[: len(self._start) // 2]

    def error_frame(self, code: str | None) -> bytes:
        """Return a line with an in-stream error, which has no code field."""
        return encode({"error": FAILED}) + b"\n"

    def document(self, content: Sequence[Content], reason: Reason, usage: Usage | None) -> bytes:
        texts = [one.text for one in content if isinstance(one, TextChunk | RefusalChunk)]
        thoughts = [one.text for one in content if isinstance(one, ReasoningChunk)]
        message: Part = {"content": "".join(texts)}
        if thoughts:
            message["thinking"] = "".join(thoughts)
        if calls := self._call_parts([*content, None]):
            message["tool_calls"] = calls
        return self._last(reason, message, usage)

    def _call_parts(self, chunks: Sequence[Content | None]) -> list[Part]:
        """Return the calls that the chunks complete, without ids, as older versions send them."""
        calls = [call for chunk in chunks for call in self._calls.completed_by(chunk)]
        given = [(call.name, Raw(call.arguments.encode())) for call in calls]
        return [{"function": {"name": name, "arguments": arguments}} for name, arguments in given]

    def _line(self, message: Mapping[str, object]) -> bytes:
        return self._start + b'"",' + encode(message)[1:] + _MORE

    def _last(self, reason: Reason, message: Mapping[str, object], usage: Usage | None) -> bytes:
        return encode(
            {
                **self._meta,
                "message": {"role": "assistant", **message},
                "done": True,
                "done_reason": "length" if reason is Reason.LENGTH else "stop",
                **({} if usage is None else _counts(usage)),
            }
        )


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
