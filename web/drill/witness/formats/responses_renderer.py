"""Renders a simulated Responses answer as typed events or as one document, sans IO."""

from collections.abc import Sequence

import msgspec

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
from web.drill.witness.formats.responses_items import (
    CallItem,
    Fields,
    Item,
    MessageItem,
    ReasoningItem,
)

_encode = msgspec.json.encode
_END = b"\n\n"
_DELTA_END = b"}" + _END
_FAILED = "The simulated model failed midway."
_INCOMPLETE = {Reason.LENGTH: "max_output_tokens", Reason.CONTENT_FILTER: "content_filter"}


class ResponsesRenderer:
    """A renderer of one answer.

    `head` are fields that every response object has. Finish and usage share one event, so the
    finish waits for the usage if `usage_follows`.
    """

    def __init__(self, number: int, head: Fields, *, usage_follows: bool) -> None:
        self._number = number
        self._head = head
        self._usage_follows = usage_follows
        self._events = 0
        self._output: list[Fields] = []
        self._item: Item | None = None
        self._kind: type[Chunk] | None = None
        """Type of the chunks that belong to the open item."""
        self._delta = b""
        """Beginning of the open item's delta events, up to the sequence number."""
        self._reason: Reason | None = None

    def frame(self, chunk: Chunk) -> bytes:
        """Return the stream events of a chunk; `response.created` and so on precede the first."""
        start = b"" if self._events else self._start()
        match chunk:
            case ToolCallChunk():
                return start + self._call_delta(chunk)
            case TextChunk(text=text) | RefusalChunk(text=text) | ReasoningChunk(text=text):
                if self._kind is not type(chunk):
                    start += self._close() + self._open_for(chunk)
                return start + self._grow(text)
            case FinishChunk(reason=reason):
                self._reason = reason
                return start + self._close() + (b"" if self._usage_follows else self._last(None))
            case UsageChunk(usage=usage):
                return start + self._last(usage)
            case SkippedChunk():
                name = b"response.output_text.delta"
                return start + b'event: %b\ndata: {"type":"%b","item_id":[}\n\n' % (name, name)

    def torn_frame(self, chunk: Chunk) -> bytes:
        """Return a frame whose JSON is cut inside the chunk's text, framed as if complete."""
        return self.frame(chunk).removesuffix(b'"' + _DELTA_END) + _END

    def half_frame(self) -> bytes:
        """Return the first half of a frame."""
        return b'event: response.output_text.delta\ndata: {"type":"response.output_tex'

    def error_frame(self, code: str | None) -> bytes:
        """Return an `error` event and the `response.failed` event that follows it."""
        start = b"" if self._events else self._start()
        error: Fields = {"code": code, "message": _FAILED, "param": None}
        failed = {"code": code or "server_error", "message": _FAILED}
        response = self._response("failed", error=failed)
        return start + self._event("error", error) + self._response_event("failed", response)

    def end(self) -> bytes:
        """Return nothing: the last event is the end marker."""
        return b""

    def whole(self, chunks: Sequence[Chunk]) -> bytes:
        """Return the body of a non-streamed answer."""
        for chunk in chunks:
            self.frame(chunk)
        self._close()
        usages = [chunk.usage for chunk in chunks if isinstance(chunk, UsageChunk)]
        return _encode(self._ended(usages[-1] if usages else None))

    def _start(self) -> bytes:
        response = self._response("in_progress")
        return b"".join(self._response_event(name, response) for name in ("created", "in_progress"))

    def _call_delta(self, chunk: ToolCallChunk) -> bytes:
        """Return the events of a tool call chunk; a chunk with an id opens a new item."""
        start = b""
        if chunk.id is not None:
            start = self._close() + self._open_for(chunk)
        return start + self._grow(chunk.arguments)

    def _open_for(self, chunk: Chunk) -> bytes:
        index = len(self._output)
        item: Item
        match chunk:
            case ToolCallChunk(id=id, name=name):
                item = CallItem(self._id("fc", index), index, id or "", name or "")
            case ReasoningChunk():
                item = ReasoningItem(self._id("rs", index), index)
            case _:
                refusal = isinstance(chunk, RefusalChunk)
                item = MessageItem(self._id("msg", index), index, refusal=refusal)
        self._item, self._kind = item, type(chunk)
        fields = _encode({"type": item.delta, **item.position})[:-1]
        self._delta = b"event: %b\ndata: %b" % (item.delta.encode(), fields)
        added = {"output_index": index, "item": item.whole("in_progress")}
        start = [("response.output_item.added", added), *item.begin()]
        return b"".join([self._event(type, fields) for type, fields in start])

    def _id(self, prefix: str, index: int) -> str:
        return f"{prefix}_simulated_{self._number}_{index}"

    def _grow(self, text: str) -> bytes:
        if self._item is None:
            return b""
        self._item.pieces.append(text)
        number = self._events
        self._events += 1
        data = b',"sequence_number":%d,"delta":%b' % (number, _encode(text))
        return self._delta + data + _DELTA_END

    def _close(self) -> bytes:
        """Return the final events of the open item, if any, and close it."""
        item = self._item
        if item is None:
            return b""
        self._item = self._kind = None
        whole = item.whole("incomplete" if self._reason in _INCOMPLETE else "completed")
        done = {"output_index": len(self._output), "item": whole}
        self._output.append(whole)
        ended = [*item.end(), ("response.output_item.done", done)]
        return b"".join([self._event(type, fields) for type, fields in ended])

    def _last(self, usage: Usage | None) -> bytes:
        response = self._ended(usage)
        return self._response_event(str(response["status"]), response)

    def _ended(self, usage: Usage | None) -> Fields:
        usage_fields = None if usage is None else _usage(usage)
        if self._reason is None:
            return self._response("in_progress")
        if (reason := _INCOMPLETE.get(self._reason)) is not None:
            return self._response(
                "incomplete", incomplete_details={"reason": reason}, usage=usage_fields
            )
        done = self._head["created_at"]
        return self._response("completed", completed_at=done, usage=usage_fields)

    def _response(self, status: str, **fields: object) -> Fields:
        return {
            "id": f"resp_simulated_{self._number}",
            "object": "response",
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "service_tier": "default",
            "usage": None,
            **self._head,
            "output": list(self._output),
            **fields,
        }

    def _response_event(self, name: str, response: Fields) -> bytes:
        return self._event(f"response.{name}", {"response": response})

    def _event(self, type: str, fields: Fields) -> bytes:
        data = _encode({"type": type, "sequence_number": self._events, **fields})
        self._events += 1
        return b"event: %b\ndata: %b" % (type.encode(), data) + _END


def _usage(usage: Usage) -> Fields:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": 0,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
