"""Server side of OpenAI's Chat Completions, sans IO.

Shapes come from OpenAI's API reference, "Create chat completion" and "Chat completion chunk".
"""

from collections.abc import Sequence

import msgspec

from actors.providers.simulated.rejections import Rejection
from actors.turn.chat_messages import read_messages
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
from actors.turn.model_call import ModelCall
from actors.turn.outcome import Usage
from web.drill.witness.formats.base import BadCall, IncomingCall

_encode = msgspec.json.encode
_NOT_PARAMETERS = frozenset({"model", "messages", "stream", "stream_options"})
_EVENT_END = b"\n\n"


class OpenAIChat:
    """Wire format `openai-chat`."""

    stream_type = "text/event-stream; charset=utf-8"

    def matches(self, path: str) -> bool:
        """Return whether calls in this format are posted to `path`."""
        return path == "/v1/chat/completions"

    def read(self, path: str, body: bytes) -> IncomingCall:
        """Parse a request body. Raises `BadCall`."""
        document = _document(body)
        model, messages = document.get("model"), document.get("messages")
        if not isinstance(model, str):
            raise BadCall("model has to be a string", "model")
        if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
            raise BadCall("messages has to be a list of objects", "messages")
        options, user = document.get("stream_options"), document.get("user")
        metadata = document.get("metadata")
        return IncomingCall(
            ModelCall(
                upstream_model=model,
                messages=read_messages(messages),
                parameters={k: v for k, v in document.items() if k not in _NOT_PARAMETERS},
            ),
            stream=document.get("stream") is True,
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
            user=user if isinstance(user, str) else None,
            metadata=metadata if isinstance(metadata, dict) else None,
        )

    def renderer(self, incoming: IncomingCall, number: int, created: int) -> "ChatRenderer":
        """Return a renderer for request `number`; `created` is in seconds since the epoch."""
        return ChatRenderer(incoming, number, created)

    def error_body(self, rejection: Rejection) -> bytes:
        """Return the body of an error response."""
        return _encode(_error(rejection.message, rejection.type, rejection.param, rejection.code))


class ChatRenderer:
    """A renderer of one chat completion."""

    def __init__(self, incoming: IncomingCall, number: int, created: int) -> None:
        self._id = f"chatcmpl-simulated-{number}"
        self._created = created
        self._model = incoming.call.upstream_model
        self._include_usage = incoming.include_usage
        self._started = False
        meta = self._meta("chat.completion.chunk")
        self._start = b"data: " + meta[:-1] + b',"choices":['
        self._delta = self._start + b'{"index":0,"delta":{'
        self._delta_end = b'},"logprobs":null,"finish_reason":null}]}' + _EVENT_END

    def frame(self, chunk: Chunk) -> bytes:
        """Return the stream frames of a chunk; a frame with the role precedes the first."""
        if self._started:
            return self._frame(chunk)
        self._started = True
        role = self._delta + b'"role":"assistant","content":""' + self._delta_end
        return role + self._frame(chunk)

    def torn_frame(self, chunk: Chunk) -> bytes:
        """Return a frame whose JSON is cut inside the chunk's text, framed as if complete."""
        return self.frame(chunk).removesuffix(b'"' + self._delta_end) + _EVENT_END

    def half_frame(self) -> bytes:
        """Return the first half of a frame."""
        return self._delta[: len(self._delta) // 2]

    def error_frame(self, code: str | None) -> bytes:
        """Return a frame with an in-stream error."""
        error = _error("The simulated model failed midway.", "server_error", None, code)
        return b"data: " + _encode(error) + _EVENT_END

    def end(self) -> bytes:
        """Return the stream's end marker."""
        return b"data: [DONE]" + _EVENT_END

    def whole(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the body of a non-streamed answer."""
        usages = [chunk.usage for chunk in chunks if isinstance(chunk, UsageChunk)]
        finishes = [chunk.reason for chunk in chunks if isinstance(chunk, FinishChunk)]
        choice = {
            "index": 0,
            "message": _message(chunks),
            "logprobs": None,
            "finish_reason": finishes[-1] if finishes else None,
        }
        body = b',"choices":[' + _encode(choice) + b"]"
        if usages:
            body += b',"usage":' + _encode(_usage(usages[-1]))
        return self._meta("chat.completion")[:-1] + body + b"}"

    def _frame(self, chunk: Chunk) -> bytes:
        match chunk:
            case TextChunk(text=text):
                return self._delta + b'"content":' + _encode(text) + self._delta_end
            case ReasoningChunk(text=text):
                return self._delta + b'"reasoning_content":' + _encode(text) + self._delta_end
            case RefusalChunk(text=text):
                return self._delta + b'"refusal":' + _encode(text) + self._delta_end
            case ToolCallChunk():
                calls = _encode([_tool_delta(chunk)])
                return self._delta + b'"tool_calls":' + calls + self._delta_end
            case FinishChunk(reason=reason):
                finish = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": reason}
                return self._start + _encode(finish) + b"]}" + _EVENT_END
            case UsageChunk(usage=usage):
                return self._usage_frame(usage) if self._include_usage else b""
            case SkippedChunk():
                return b'data: {"id":' + self._id.encode() + b',"choices":[}' + _EVENT_END

    def _usage_frame(self, usage: Usage) -> bytes:
        return self._start + b'],"usage":' + _encode(_usage(usage)) + b"}" + _EVENT_END

    def _meta(self, object: str) -> bytes:
        meta = {
            "id": self._id,
            "object": object,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": "fp_simulated",
        }
        return _encode(meta)


def _document(body: bytes) -> dict[str, object]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadCall(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadCall("the body is not a JSON object")
    return document


def _error(
    message: str, type: str, param: str | None, code: str | None
) -> dict[str, dict[str, str | None]]:
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def _tool_delta(chunk: ToolCallChunk) -> dict[str, object]:
    if chunk.id is None:
        return {"index": chunk.index, "function": {"arguments": chunk.arguments}}
    function = {"name": chunk.name, "arguments": chunk.arguments}
    return {"index": chunk.index, "id": chunk.id, "type": "function", "function": function}


def _message(chunks: Sequence[Chunk]) -> dict[str, object]:
    text = "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))
    refusal = "".join(chunk.text for chunk in chunks if isinstance(chunk, RefusalChunk))
    thought = "".join(chunk.text for chunk in chunks if isinstance(chunk, ReasoningChunk))
    calls = _tool_calls([chunk for chunk in chunks if isinstance(chunk, ToolCallChunk)])
    content = None if calls or refusal else text
    message: dict[str, object] = {"role": "assistant", "content": content}
    message["refusal"] = refusal or None
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    return message


def _tool_calls(chunks: Sequence[ToolCallChunk]) -> list[dict[str, object]]:
    heads = [chunk for chunk in chunks if chunk.id is not None]
    return [
        {
            "id": head.id,
            "type": "function",
            "function": {
                "name": head.name,
                "arguments": "".join(c.arguments for c in chunks if c.index == head.index),
            },
        }
        for head in heads
    ]


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
