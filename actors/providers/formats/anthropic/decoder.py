"""Wire format `anthropic`: Anthropic's Messages API, streamed or as one document."""

import re

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.anthropic.block_end import API, BlockEnd, state_chunk
from actors.providers.formats.anthropic.fields import CALL_FIELDS, is_optional
from actors.providers.formats.anthropic.request import translate
from actors.providers.formats.anthropic.tools import NAMES
from actors.providers.formats.base import Format, FormatSpec
from actors.providers.formats.decoding import Document, SseStream
from actors.providers.formats.lenient_fields import NULL, FrameType, Number, one_line, word
from actors.providers.formats.reader import Reader
from actors.providers.formats.token_usage import UsageFields
from actors.providers.redaction import Scrub
from actors.turn.chunks import Chunk, ReasoningChunk, TextChunk, ToolCallChunk
from actors.turn.messages import JSON
from actors.turn.model_call import UpstreamFailure

_VERSION = "2023-06-01"
"""Value of the `anthropic-version` header; no later version exists."""

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


class Block(Struct, gc=False):
    """A content block: complete in a whole message, its start in a stream."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    citations: Raw = NULL
    id: str | None = None
    name: str | None = None
    input: Raw = NULL
    caller: Raw = NULL
    toolset_name: str | None = None


class Delta(Struct, gc=False):
    """An addition to a content block or, in `message_delta`, to the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    citation: Raw = NULL
    content: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class Start(Struct, gc=False):
    """The message in `message_start`, which has no content yet."""

    usage: UsageFields = None


class Event(Struct, gc=False):
    """One event of a stream, or a whole message (its `type` is `message`)."""

    type: str = ""
    index: Number | None = None
    delta: Delta | None = None
    content_block: Block | None = None
    message: Start | None = None
    usage: UsageFields = None
    metrics: UsageFields = msgspec.field(default=None, name="amazon-bedrock-invocationMetrics")
    content: list[Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    error: Raw = NULL


EVENT = FrameType(Event, stop_reason=word)


class _Blocks(Struct, gc=False):
    """The blocks of an event in full."""

    content_block: dict[str, JSON] = {}
    content: list[dict[str, JSON]] = []


_read_blocks = msgspec.json.Decoder(_Blocks).decode
_READ_HERE = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
"""Types of blocks; all others are of use to clients of this API alone."""


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
    _excludes_cache = True
    _text_in = re.compile(rb'"(?:text|partial_json)"\s{0,8}:\s{0,8}"[^"]|"tool_use"')
    """Matches text, a piece of a tool call, or the start of one; without it, pieces are useless."""

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._calls: dict[int, _Call] = {}
        """Open calls by content block index."""
        self._current_block = 0
        """Index of the block that started last, for events that omit the index."""
        self._block_end = BlockEnd()

    def _read_frame(self, event: Event, data: bytes, chunks: list[Chunk]) -> None:
        if event.type == "error" or event.error != NULL:
            raise self._fail_with(data)
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._append_delta(event.delta, event.index, chunks)
            case "content_block_start" if event.content_block is not None:
                self._start_block(event.content_block, event.index, chunks)
                if event.content_block.type not in _READ_HERE:
                    self._block_end.begin_native(_read_blocks(data).content_block)
            case "content_block_stop":
                self._close_block(
                    self._current_block if event.index is None else event.index, chunks
                )
            case _:
                self._read_message_event(event, data, chunks)

    def _fail_with(self, data: bytes) -> UpstreamFailure:
        failure = super()._fail_with(data)
        if failure.status is None and failure.type is not None:
            failure.status = _STATUSES.get(failure.type)
        return failure

    def _read_message_event(self, event: Event, data: bytes, chunks: list[Chunk]) -> None:
        match event.type:
            case "message_start" if event.message is not None:
                # Its count of the output is not the final one, so nothing is reported yet.
                self._count(event.message.usage)
            case "message_delta":
                self._end(event, event.delta or Delta(), chunks)
            case "message_stop":
                self._add_usage(event, chunks)
                self.saw_end_marker = True
            case "message":
                self._read_whole(event, data, chunks)

    def _append_delta(self, delta: Delta, index: int | None, chunks: list[Chunk]) -> None:
        if delta.type == "text_delta":
            if delta.text:
                self._block_end.text_size += len(delta.text)
                chunks.append(TextChunk(delta.text))
        elif delta.type == "thinking_delta":
            if delta.thinking:
                chunks.append(ReasoningChunk(delta.thinking))
        elif delta.type == "input_json_delta" and delta.partial_json:
            call = self._calls.get(self._current_block if index is None else index)
            if call is None:  # such as a web search, which runs at the provider
                self._block_end.add_input(delta.partial_json)
            elif not call.whole:
                call.started = True
                chunks.append(ToolCallChunk(call.index, None, None, delta.partial_json))
        else:
            self._block_end.add(delta.signature, delta.citation, delta.content)

    def _start_block(self, block: Block, index: int | None, chunks: list[Chunk]) -> None:
        self._current_block = -1 - self._call_count if index is None else index
        chunks += self._block_end.end()
        if block.type == "text":
            self._block_end.begin_text(block.citations)
            if block.text:
                self._block_end.text_size += len(block.text)
                chunks.append(TextChunk(block.text))
            return
        self._block_end.begin_other(block.signature)
        if block.type == "thinking":
            if block.thinking:
                chunks.append(ReasoningChunk(block.thinking))
        elif block.type == "redacted_thinking":
            chunks += [state_chunk(data=block.data)] if block.data else []
        elif block.type == "tool_use":
            self._start_call(block, chunks)

    def _start_call(self, block: Block, chunks: list[Chunk]) -> None:
        arguments, index = _arguments(block), self._call_count
        self._calls[self._current_block] = _Call(index, whole=bool(arguments))
        extras = None
        given = dict(zip(CALL_FIELDS, (block.caller, block.toolset_name), strict=True))
        if given := {name: value for name, value in given.items() if value not in (NULL, None)}:
            # Named with its API, since Responses has a field `caller`, too.
            extras = one_line(Raw(msgspec.json.encode({API: given})))
        call = ToolCallChunk(index, block.id or None, block.name or None, arguments, extras=extras)
        chunks.append(call)
        self._call_count += 1

    def _close_block(self, index: int, chunks: list[Chunk]) -> None:
        """Close a block; emit `{}` for a tool call that sent no arguments."""
        chunks += self._block_end.end()
        call = self._calls.pop(index, None)
        if call is not None and not (call.whole or call.started):
            chunks.append(ToolCallChunk(call.index, None, None, "{}"))

    def _end(self, event: Event, end: Delta | Event, chunks: list[Chunk]) -> None:
        self._add_usage(event, chunks)
        if end.stop_reason:
            self._read_finish(end.stop_reason, chunks, end.stop_sequence)

    def _held_back(self) -> list[Chunk]:
        chunks = self._block_end.end()
        for index in list(self._calls):
            self._close_block(index, chunks)
        return chunks

    def _add_usage(self, event: Event, chunks: list[Chunk]) -> None:
        """Add counts, which are cumulative and may be omitted, and report them with the output."""
        if "output" in self._count(event.usage, event.metrics):
            self._report_usage(chunks)

    def _read_whole(self, message: Event, data: bytes, chunks: list[Chunk]) -> None:
        blocks = message.content or []
        native = any(block.type not in _READ_HERE for block in blocks)
        whole = _read_blocks(data).content if native else []
        for index, block in enumerate(blocks):
            self._start_block(block, index, chunks)
            if block.type not in _READ_HERE:
                self._block_end.begin_native(whole[index])
            self._close_block(index, chunks)
        self._end(message, message, chunks)


class AnthropicDecoder(_MessageFrames, SseStream[Event]):
    """Decoder for a stream of server-sent events."""


class AnthropicWholeDecoder(_MessageFrames, Document[Event]):
    """Decoder for a message sent as one document although a stream was requested."""


def _arguments(block: Block) -> str:
    """Return the block's input as JSON text, or "" if empty because deltas follow."""
    text = bytes(block.input).decode()
    return text if text.startswith("{") and text.strip("{} \t\r\n") else ""


ANTHROPIC = Format(
    api=API,
    media=frozenset(
        {"image", "image/url", "image/anthropic", "pdf", "pdf/url", "file/anthropic", "text"}
    ),
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
