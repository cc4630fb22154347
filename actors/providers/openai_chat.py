"""The `openai-chat` format: Chat Completions, streamed or whole."""

import re
from collections.abc import Iterator

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
from actors.providers.base import FailureKind, ModelCall, UpstreamFailure
from actors.providers.error_body import read_error
from actors.providers.formats import Decoder, RequestParts
from actors.providers.openai_wire import NULL, Call, Choice, Delta, TokenUsage, read_frame
from actors.providers.scrub import Scrub
from actors.providers.sse import MAX_EVENT, EventTooLarge, SseDecoder, SseEvent

_FINISHES = {
    "length": Reason.LENGTH,
    "tool_calls": Reason.TOOL_CALLS,
    "function_call": Reason.TOOL_CALLS,
    "content_filter": Reason.CONTENT_FILTER,
}
"""All others mean `stop`: a provider that gives a reason of its own has ended by itself."""

_VISIBLE = re.compile(rb'"(?:content|text|refusal|arguments)"\s{0,8}:\s{0,8}"[^"]')
_SHOWN = 80
"""Bytes of a malformed frame that are told."""


class OpenAIChat:
    """The format (`actors.providers.formats.Format`)."""

    def build(self, call: ModelCall, api_key: str | None) -> RequestParts:
        headers = [
            ("content-type", "application/json"),
            ("accept", "text/event-stream, application/json"),
        ]
        if api_key is not None:
            headers.append(("authorization", f"Bearer {api_key}"))
        body = {
            **call.parameters,
            "model": call.upstream_model,
            "messages": call.messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return RequestParts("/chat/completions", tuple(headers), msgspec.json.encode(body))

    def stream_decoder(self, scrub: Scrub) -> Decoder:
        return OpenAIChatDecoder(scrub)

    def whole_decoder(self, scrub: Scrub) -> Decoder:
        return OpenAIWholeDecoder(scrub)


class _Frames:
    """What both decoders have in common: frames to chunks, and what has been seen of them."""

    __slots__ = ("_calls", "_failure", "_scrub", "finished", "marked")

    def __init__(self, scrub: Scrub) -> None:
        self._scrub = scrub
        self._failure: UpstreamFailure | None = None
        self._calls: dict[str, int] = {}
        """Indices given to tool calls that came without one, by their ids."""
        self.finished = False
        self.marked = False

    @property
    def over(self) -> bool:
        return self.marked or self._failure is not None

    def _fail(self, kind: FailureKind, message: str) -> UpstreamFailure:
        self._failure = UpstreamFailure(kind, message)
        return self._failure

    def _fail_with(self, data: bytes) -> UpstreamFailure:
        error = read_error(data)
        if error is None:
            return self._fail(FailureKind.IN_STREAM_ERROR, "the provider reported an error")
        self._failure = UpstreamFailure(
            FailureKind.IN_STREAM_ERROR,
            self._scrub(error.message),
            status=error.status,
            code=error.code and self._scrub(error.code),
            type=error.type and self._scrub(error.type),
            param=error.param and self._scrub(error.param),
        )
        return self._failure

    def _read(self, data: bytes, chunks: list[Chunk]) -> None:
        """Append the chunks of one frame. Raises `UpstreamFailure`."""
        try:
            frame, strict = read_frame(data)
        except msgspec.DecodeError:
            if _VISIBLE.search(data):
                raise self._fail(
                    FailureKind.MALFORMED, "a malformed frame with text in it"
                ) from None
            chunks.append(_skipped(data))
            return
        if frame.error != NULL or frame.object == "error":
            raise self._fail_with(data)
        before = len(chunks)
        if frame.usage is not None and (usage := _usage(frame.usage)) is not None:
            chunks.append(UsageChunk(usage))
        for choice in frame.choices or ():
            if choice.index == 0:
                self._choice(choice, chunks)
        if not strict and len(chunks) == before:
            chunks.append(_skipped(data))

    def _choice(self, choice: Choice, chunks: list[Chunk]) -> None:
        delta = choice.delta or choice.message
        if delta is not None:
            if reasoning := delta.reasoning_content or delta.reasoning:
                chunks.append(ReasoningChunk(reasoning))
            if delta.content:
                logprobs = choice.logprobs
                text = None if logprobs == NULL else bytes(logprobs).decode()
                chunks.append(TextChunk(delta.content, text))
            if delta.refusal:
                chunks.append(RefusalChunk(delta.refusal))
            if delta.tool_calls or delta.function_call:
                chunks.extend(self._tool_calls(delta))
        if choice.finish_reason:
            self._finish(choice.finish_reason, chunks)

    def _tool_calls(self, delta: Delta) -> Iterator[ToolCallChunk]:
        for position, call in enumerate(delta.tool_calls or ()):
            function = call.function
            yield ToolCallChunk(
                self._index(call, position),
                call.id or None,
                (function.name or None) if function else None,
                (function.arguments or "") if function else "",
            )
        if (function := delta.function_call) is not None:
            yield ToolCallChunk(0, None, function.name or None, function.arguments or "")

    def _index(self, call: Call, position: int) -> int:
        """Some providers send whole calls without an index, one frame each."""
        if call.index is not None:
            return call.index
        return self._calls.setdefault(call.id, len(self._calls)) if call.id else position

    def _finish(self, reason: str, chunks: list[Chunk]) -> None:
        if reason == "error":
            raise self._fail(FailureKind.IN_STREAM_ERROR, "the provider ended with an error")
        if not self.finished:
            self.finished = True
            chunks.append(FinishChunk(_FINISHES.get(reason, Reason.STOP)))

    def _check_finished(self) -> None:
        if self._failure is not None:
            raise self._failure
        if not self.finished:
            raise self._fail(FailureKind.TRUNCATED, "the answer ended without a finish reason")


class OpenAIChatDecoder(_Frames):
    """Decodes a stream of server-sent events. Usage is told before the finish of its frame."""

    __slots__ = "_sse"

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._sse = SseDecoder()

    def feed(self, data: bytes) -> list[Chunk]:
        """See `actors.providers.formats.Decoder`."""
        if self._failure is not None:
            raise self._failure
        chunks: list[Chunk] = []
        try:
            for event in self._sse.feed(data):
                if event.name or not event.data.startswith(b"{"):
                    self._unusual(event, chunks)
                elif not self.marked:
                    self._read(event.data, chunks)
        except EventTooLarge as error:
            raise self._fail(FailureKind.MALFORMED, str(error)) from error
        except UpstreamFailure:
            if not chunks:
                raise
        return chunks

    def _unusual(self, event: SseEvent, chunks: list[Chunk]) -> None:
        if self.marked or not event.data:
            return
        if event.data.startswith(b"[DONE]"):
            self.marked = True
        elif event.name == b"error":
            raise self._fail_with(event.data)
        else:
            self._read(event.data, chunks)

    def end(self) -> list[Chunk]:
        """See `actors.providers.formats.Decoder`."""
        chunks: list[Chunk] = []
        if not self.over:
            for event in self._sse.end():
                if _is_whole(event.data):
                    self._unusual(event, chunks)
        if not chunks:
            self._check_finished()
        return chunks


class OpenAIWholeDecoder(_Frames):
    """Decodes an answer that came as one document, although a stream had been asked for."""

    __slots__ = ("_parts", "_size")

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Chunk]:
        """See `actors.providers.formats.Decoder`."""
        self._parts.append(data)
        self._size += len(data)
        if self._size > MAX_EVENT:
            raise self._fail(FailureKind.MALFORMED, f"an answer of over {MAX_EVENT} bytes")
        return []

    def end(self) -> list[Chunk]:
        """See `actors.providers.formats.Decoder`."""
        data = b"".join(self._parts)
        self._parts.clear()
        chunks: list[Chunk] = []
        if data and self._failure is None:
            self._read(data, chunks)
        if not chunks:
            self._check_finished()
        return chunks


def _is_whole(data: bytes) -> bool:
    """Whether an event that the stream's end cut off can be taken for all of what it was."""
    if data == b"[DONE]":
        return True
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _usage(usage: TokenUsage) -> Usage | None:
    """The figures, zeros included; None where the provider gave no figures."""
    given, made = usage.prompt_tokens, usage.completion_tokens
    if given is None or made is None or given < 0 or made < 0:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cached_input_tokens=max(0, (prompt and prompt.cached_tokens) or 0),
        reasoning_tokens=max(0, (completion and completion.reasoning_tokens) or 0),
    )


def _skipped(data: bytes) -> SkippedChunk:
    return SkippedChunk(ascii(data[:_SHOWN])[1:])
