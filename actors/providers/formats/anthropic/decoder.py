"""Wire format `anthropic`: Anthropic's Messages API, streamed or as one document."""

import re

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.anthropic.fields import is_optional
from actors.providers.formats.anthropic.request import translate
from actors.providers.formats.anthropic.tools import NAMES
from actors.providers.formats.base import Format, FormatSpec
from actors.providers.formats.decoding import Document, Reader, SseStream, usage_of
from actors.providers.formats.lenient_fields import NULL, FrameType, Number
from actors.providers.redaction import Scrub
from actors.turn.chunks import Chunk, ReasoningChunk, TextChunk, ToolCallChunk, UsageChunk
from actors.turn.model_call import UpstreamFailure
from actors.turn.outcome import Reason, Usage

_VERSION = "2023-06-01"
"""Value of the `anthropic-version` header; no later version exists."""

_FINISHES = {
    "max_tokens": Reason.LENGTH,
    "model_context_window_exceeded": Reason.LENGTH,
    "tool_use": Reason.TOOL_CALLS,
    "refusal": Reason.CONTENT_FILTER,
}
"""Finish reasons by `stop_reason`.

Any other value means `stop`: `end_turn`, `stop_sequence`, `pause_turn` and future ones."""

_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""HTTP status for each error type of an in-stream error (API reference, "Errors")."""


class OutputDetails(Struct, gc=False):
    thinking_tokens: Number | None = None


class TokenUsage(Struct, gc=False):
    """Token counts of `message_start`, or of `message_delta`, in which they are cumulative."""

    input_tokens: Number | None = None
    cache_read_input_tokens: Number | None = None
    cache_creation_input_tokens: Number | None = None
    output_tokens: Number | None = None
    output_tokens_details: OutputDetails | None = None


class Block(Struct, gc=False):
    """A content block: complete in a whole message, its start in a stream."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = NULL


class Delta(Struct, gc=False):
    """An addition to a content block or, in `message_delta`, to the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class Start(Struct, gc=False):
    """The message in `message_start`, which has no content yet."""

    usage: TokenUsage | None = None


class Event(Struct, gc=False):
    """One event of a stream, or a whole message (its `type` is `message`)."""

    type: str = ""
    index: Number | None = None
    delta: Delta | None = None
    content_block: Block | None = None
    message: Start | None = None
    usage: TokenUsage | None = None
    content: list[Block] | None = None
    stop_reason: str | None = None
    error: Raw = NULL


EVENT = FrameType(Event)


class _Call(Struct):
    """A tool call whose content block hasn't stopped yet."""

    index: int
    whole: bool
    """True if `content_block_start` carried all arguments; later deltas would repeat them."""
    started: bool = False


class _MessageFrames(Reader[Event]):
    """Reader that turns Messages events into chunks.

    An event's usage chunk precedes its finish chunk.
    """

    _frame_type = EVENT
    _text_in = re.compile(rb'"(?:text|partial_json)"\s{0,8}:\s{0,8}"[^"]|"tool_use"')
    """Matches text, a piece of a tool call, or the start of one; without it, pieces are useless."""

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._calls: dict[int, _Call] = {}
        """Open calls by content block index."""
        self._current_block = 0
        """Index of the block that started last, for events that omit the index."""
        self._usage_so_far = TokenUsage()

    def _read_frame(self, event: Event, data: bytes, chunks: list[Chunk]) -> None:
        if event.type == "error" or event.error != NULL:
            raise self._fail_with(data)
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._append_delta(event.delta, event.index, chunks)
            case "content_block_start" if event.content_block is not None:
                self._start_block(event.content_block, event.index, chunks)
            case "content_block_stop":
                self._close_block(
                    self._current_block if event.index is None else event.index, chunks
                )
            case _:
                self._read_message_event(event, chunks)

    def _fail_with(self, data: bytes) -> UpstreamFailure:
        failure = super()._fail_with(data)
        if failure.status is None and failure.type is not None:
            failure.status = _STATUSES.get(failure.type)
        return failure

    def _read_message_event(self, event: Event, chunks: list[Chunk]) -> None:
        match event.type:
            case "message_start" if event.message is not None:
                self._add_usage(event.message.usage or TokenUsage())
            case "message_delta":
                reason = event.delta.stop_reason if event.delta is not None else None
                self._end(event.usage, reason, chunks)
            case "message_stop":
                self.saw_end_marker = True
            case "message":
                self._read_whole(event, chunks)

    def _append_delta(self, delta: Delta, index: int | None, chunks: list[Chunk]) -> None:
        if delta.type == "text_delta":
            if delta.text:
                chunks.append(TextChunk(delta.text))
        elif delta.type == "thinking_delta":
            if delta.thinking:
                chunks.append(ReasoningChunk(delta.thinking))
        elif delta.type == "input_json_delta" and delta.partial_json:
            # Server-side tools (web search and others) send such deltas too, without a call here.
            call = self._calls.get(self._current_block if index is None else index)
            if call is not None and not call.whole:
                call.started = True
                chunks.append(ToolCallChunk(call.index, None, None, delta.partial_json))

    def _start_block(self, block: Block, index: int | None, chunks: list[Chunk]) -> None:
        self._current_block = -1 - self._call_count if index is None else index
        if block.type == "text":
            if block.text:
                chunks.append(TextChunk(block.text))
        elif block.type == "thinking":
            if block.thinking:
                chunks.append(ReasoningChunk(block.thinking))
        elif block.type == "tool_use":
            arguments = _arguments(block)
            self._calls[self._current_block] = _Call(self._call_count, whole=bool(arguments))
            chunks.append(
                ToolCallChunk(self._call_count, block.id or None, block.name or None, arguments)
            )
            self._call_count += 1

    def _close_block(self, index: int, chunks: list[Chunk]) -> None:
        """Close a block; emit `{}` for a tool call that sent no arguments."""
        call = self._calls.pop(index, None)
        if call is not None and not (call.whole or call.started):
            chunks.append(ToolCallChunk(call.index, None, None, "{}"))

    def _end(self, usage: TokenUsage | None, reason: str | None, chunks: list[Chunk]) -> None:
        if usage is not None:
            self._add_usage(usage)
            # `message_start` has counts too, but not the final ones: only this event reports them.
            if (
                usage.output_tokens is not None
                and (total := _usage(self._usage_so_far)) is not None
            ):
                chunks.append(UsageChunk(total))
        if reason:
            for index in list(self._calls):
                self._close_block(index, chunks)
            self._finish(_FINISHES.get(reason, Reason.STOP), chunks)

    def _add_usage(self, usage: TokenUsage) -> None:
        """Merge new counts over the old ones; counts are cumulative and may be omitted."""
        new, old = msgspec.structs.astuple(usage), msgspec.structs.astuple(self._usage_so_far)
        self._usage_so_far = TokenUsage(
            *(b if a is None else a for a, b in zip(new, old, strict=True))
        )

    def _read_whole(self, message: Event, chunks: list[Chunk]) -> None:
        for index, block in enumerate(message.content or ()):
            self._start_block(block, index, chunks)
            self._close_block(index, chunks)
        self._end(message.usage, message.stop_reason, chunks)


class AnthropicDecoder(_MessageFrames, SseStream[Event]):
    """Decoder for a stream of server-sent events."""


class AnthropicWholeDecoder(_MessageFrames, Document[Event]):
    """Decoder for a message sent as one document although a stream was requested."""


def _arguments(block: Block) -> str:
    """Return the block's input as JSON text, or "" if empty because deltas follow."""
    text = bytes(block.input).decode()
    return text if text.startswith("{") and text.strip("{} \t\r\n") else ""


def _usage(usage: TokenUsage) -> Usage | None:
    uncached, details = usage.input_tokens, usage.output_tokens_details
    if uncached is None or uncached < 0:
        return None
    read = max(0, usage.cache_read_input_tokens or 0)
    written = max(0, usage.cache_creation_input_tokens or 0)
    thinking = (details and details.thinking_tokens) or 0
    return usage_of(uncached + read + written, usage.output_tokens, read, thinking)


ANTHROPIC = Format(
    path=lambda model: "/messages",
    translate=translate,
    stream_decoder=AnthropicDecoder,
    whole_decoder=AnthropicWholeDecoder,
    headers=(("anthropic-version", _VERSION),),
    key_header=("x-api-key", ""),
    tool_names=NAMES,
    optional=is_optional,
)
"""The Messages API; the base URL ends in `/v1`."""

FORMAT = FormatSpec("anthropic", ANTHROPIC, "https://api.anthropic.com/v1")
