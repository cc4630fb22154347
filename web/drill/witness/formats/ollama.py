"""Server side of Ollama's `/api/chat`, sans IO.

Shapes come from Ollama's API documentation, "Generate a chat completion".
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Raw
from pydantic import ConfigDict, Field

from actors.turn.chunks import ReasoningChunk, RefusalChunk, TextChunk, ToolCallChunk
from actors.turn.model_call import JSON
from actors.turn.outcome import ErrorInfo, Reason, Usage
from web.drill.witness.formats.base import FAILED, Content, IncomingCall, WireFormat, encode
from web.drill.witness.formats.foreign_call import (
    Chat,
    Fields,
    Part,
    WholeCallRenderer,
    image_part,
    json_schema,
    text_part,
)
from web.http.validation_errors import validated

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


def _parse(document: dict[str, JSON], path: str) -> IncomingCall:
    request = validated(_Request, document)
    return IncomingCall(
        call=_chat(request.messages).call(request.model, _parameters(request)),
        stream=request.stream is not False,
        stream_type="application/x-ndjson",
    )


def _error_body(error: ErrorInfo) -> bytes:
    """Return the body of an error response, which contains only the message."""
    return encode({"error": error.message})


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


class LineRenderer(WholeCallRenderer):
    """A renderer of one answer.

    Ollama has no refusals and no content filter: refusals are text and a filtered answer ends with
    `stop`.
    """

    frame_end = b"\n"

    def __init__(self, incoming: IncomingCall, number: int, created: int) -> None:
        super().__init__(incoming, number, created)
        second = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._meta = {
            "model": incoming.call.upstream_model,
            "created_at": f"{second}.{number % 10**9:09}Z",
        }
        self._start = encode(self._meta)[:-1] + b',"message":{"role":"assistant","content":'

    def whole_frame(self, content: Content) -> bytes:
        match content:
            case TextChunk(text=text) | RefusalChunk(text=text):
                return self._start + encode(text) + b"}" + _MORE
            case ReasoningChunk(text=text):
                fields: Part = {"thinking": text}
            case ToolCallChunk():
                fields = {"tool_calls": [_call(content)]}
        return self._start + b'"",' + encode(fields)[1:] + _MORE

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
        whole = self.completed(*content, None)
        texts = [one.text for one in whole if isinstance(one, TextChunk | RefusalChunk)]
        thoughts = [one.text for one in whole if isinstance(one, ReasoningChunk)]
        calls = [_call(one) for one in whole if isinstance(one, ToolCallChunk)]
        message: Part = {"content": "".join(texts)}
        if thoughts:
            message["thinking"] = "".join(thoughts)
        if calls:
            message["tool_calls"] = calls
        return self._last(reason, message, usage)

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


def _call(call: ToolCallChunk) -> Part:
    """Return a call without its id, as older versions send it."""
    return {"function": {"name": call.name, "arguments": Raw(call.arguments.encode())}}


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


WIRE = WireFormat("/api/chat", _parse, LineRenderer, _error_body)
