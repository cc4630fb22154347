"""The `anthropic` format: Anthropic's Messages API, streamed or whole."""

import re

import msgspec
from msgspec import Struct

from actors.chunks import Chunk, ReasoningChunk, TextChunk, ToolCallChunk, UsageChunk
from actors.heavy import encoded
from actors.outcome import Reason, Usage
from actors.providers.anthropic_request import translate
from actors.providers.anthropic_wire import Block, Delta, Event, TokenUsage, read_event
from actors.providers.base import ModelCall, UpstreamFailure
from actors.providers.decoding import Document, Reader, SseStream
from actors.providers.formats import Decoder, RequestParts
from actors.providers.lenient import NULL
from actors.providers.scrub import Scrub

_VERSION = "2023-06-01"
"""Of the API, of which there is no later one."""

_FINISHES = {
    "max_tokens": Reason.LENGTH,
    "model_context_window_exceeded": Reason.LENGTH,
    "tool_use": Reason.TOOL_CALLS,
    "refusal": Reason.CONTENT_FILTER,
}
"""All others mean `stop`: `end_turn`, `stop_sequence`, `pause_turn` and those to come."""

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
"""The HTTP status that an error inside a stream would have had (API reference, "Errors")."""


class Anthropic:
    """The format (`actors.providers.formats.Format`); the base URL ends in `/v1`."""

    stream_type = "text/event-stream"

    def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        return translate(call).left_out

    def build(self, call: ModelCall, api_key: str | None) -> RequestParts:
        headers = [
            ("content-type", "application/json"),
            ("accept", "text/event-stream, application/json"),
            ("anthropic-version", _VERSION),
        ]
        if api_key is not None:
            headers.append(("x-api-key", api_key))
        said = translate(call)
        return RequestParts("/messages", tuple(headers), encoded(said.body), said.left_out)

    def stream_decoder(self, scrub: Scrub) -> Decoder:
        return AnthropicDecoder(scrub)

    def whole_decoder(self, scrub: Scrub) -> Decoder:
        return AnthropicWholeDecoder(scrub)


class _Call(Struct):
    """A tool call whose block is open."""

    index: int
    whole: bool
    """Its arguments came with its beginning: pieces that follow would be the same again."""
    begun: bool = False


class _MessageFrames(Reader):
    """Messages events to chunks. Usage is told before the finish of its event."""

    _text_in = re.compile(rb'"(?:text|partial_json)"\s{0,8}:\s{0,8}"[^"]|"tool_use"')
    """Text, a piece of a tool call, or its beginning, without which no piece is of use."""

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._calls: dict[int, _Call] = {}
        """The open ones by the index of their block."""
        self._made = 0
        """Tool calls so far: they are numbered apart from the other blocks."""
        self._latest = 0
        """The block that has begun last."""
        self._counted = TokenUsage()

    def _read(self, data: bytes, chunks: list[Chunk]) -> None:
        """Append the chunks of one event. Raises `UpstreamFailure`."""
        try:
            event, strict = read_event(data)
        except msgspec.DecodeError:
            self._malformed(data, chunks)
            return
        if event.type == "error" or event.error != NULL:
            raise self._fail_with(data)
        before = len(chunks)
        self._take(event, chunks)
        if not strict and len(chunks) == before:
            chunks.append(self._skipped(data))

    def _fail_with(self, data: bytes) -> UpstreamFailure:
        failure = super()._fail_with(data)
        if failure.status is None and failure.type is not None:
            failure.status = _STATUSES.get(failure.type)
        return failure

    def _take(self, event: Event, chunks: list[Chunk]) -> None:
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._grow(event.delta, event.index, chunks)
            case "content_block_start" if event.content_block is not None:
                self._begin(event.content_block, event.index, chunks)
            case "content_block_stop":
                self._close(self._latest if event.index is None else event.index, chunks)
            case _:
                self._take_message(event, chunks)

    def _take_message(self, event: Event, chunks: list[Chunk]) -> None:
        match event.type:
            case "message_start" if event.message is not None:
                self._count(event.message.usage or TokenUsage())
            case "message_delta":
                reason = event.delta.stop_reason if event.delta is not None else None
                self._end(event.usage, reason, chunks)
            case "message_stop":
                self.marked = True
            case "message":
                self._whole(event, chunks)

    def _grow(self, delta: Delta, index: int | None, chunks: list[Chunk]) -> None:
        if delta.type == "text_delta":
            if delta.text:
                chunks.append(TextChunk(delta.text))
        elif delta.type == "thinking_delta":
            if delta.thinking:
                chunks.append(ReasoningChunk(delta.thinking))
        elif delta.type == "input_json_delta" and delta.partial_json:
            # Tools that run at the provider have such pieces, too, and no call of ours.
            call = self._calls.get(self._latest if index is None else index)
            if call is not None and not call.whole:
                call.begun = True
                chunks.append(ToolCallChunk(call.index, None, None, delta.partial_json))

    def _begin(self, block: Block, index: int | None, chunks: list[Chunk]) -> None:
        self._latest = -1 - self._made if index is None else index
        if block.type == "text":
            if block.text:
                chunks.append(TextChunk(block.text))
        elif block.type == "thinking":
            if block.thinking:
                chunks.append(ReasoningChunk(block.thinking))
        elif block.type == "tool_use":
            arguments = _arguments(block)
            self._calls[self._latest] = _Call(self._made, whole=bool(arguments))
            chunks.append(
                ToolCallChunk(self._made, block.id or None, block.name or None, arguments)
            )
            self._made += 1

    def _close(self, index: int, chunks: list[Chunk]) -> None:
        """A call without arguments has an empty object of them, which nobody has sent."""
        call = self._calls.pop(index, None)
        if call is not None and not (call.whole or call.begun):
            chunks.append(ToolCallChunk(call.index, None, None, "{}"))

    def _end(self, usage: TokenUsage | None, reason: str | None, chunks: list[Chunk]) -> None:
        if usage is not None:
            self._count(usage)
            # What a message starts with is no figure of what it will have come to.
            if usage.output_tokens is not None and (told := _usage(self._counted)) is not None:
                chunks.append(UsageChunk(told))
        if reason:
            for index in list(self._calls):
                self._close(index, chunks)
            self._finish(_FINISHES.get(reason, Reason.STOP), chunks)

    def _count(self, usage: TokenUsage) -> None:
        """Figures are cumulative; what is not said again stays as it was."""
        new, old = msgspec.structs.astuple(usage), msgspec.structs.astuple(self._counted)
        self._counted = TokenUsage(*(b if a is None else a for a, b in zip(new, old, strict=True)))

    def _whole(self, message: Event, chunks: list[Chunk]) -> None:
        for index, block in enumerate(message.content or ()):
            self._begin(block, index, chunks)
            self._close(index, chunks)
        self._end(message.usage, message.stop_reason, chunks)


class AnthropicDecoder(_MessageFrames, SseStream):
    """Decodes a stream of server-sent events."""


class AnthropicWholeDecoder(_MessageFrames, Document):
    """Decodes a message that came as one document, although a stream had been asked for."""


def _arguments(block: Block) -> str:
    """The input as JSON text; nothing where it is empty, as it is where its pieces follow."""
    text = bytes(block.input).decode()
    return text if text.startswith("{") and text.strip("{} \t\r\n") else ""


def _usage(counted: TokenUsage) -> Usage | None:
    """The figures, zeros included; None where the provider gave no figures."""
    fresh, made = counted.input_tokens, counted.output_tokens
    if fresh is None or made is None or fresh < 0 or made < 0:
        return None
    read = max(0, counted.cache_read_input_tokens or 0)
    written = max(0, counted.cache_creation_input_tokens or 0)
    details = counted.output_tokens_details
    return Usage(
        input_tokens=fresh + read + written,
        output_tokens=made,
        cached_input_tokens=read,
        reasoning_tokens=max(0, (details and details.thinking_tokens) or 0),
    )
