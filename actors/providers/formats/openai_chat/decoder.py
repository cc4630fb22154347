"""Wire format `openai-chat`: Chat Completions, streamed or as one document."""

import re
from collections.abc import Iterator

from msgspec import Raw

from actors.providers.formats.base import Format, FormatSpec
from actors.providers.formats.decoding import Document, SseStream
from actors.providers.formats.finish_words import met_stop_sequence
from actors.providers.formats.lenient_fields import NULL, one_line
from actors.providers.formats.openai_chat.frames import (
    FRAME,
    Call,
    Choice,
    Custom,
    Delta,
    Frame,
    Groq,
    Part,
)
from actors.providers.formats.openai_chat.opaque_fields import (
    OpaqueFields,
    call_extras,
    call_state,
)
from actors.providers.formats.openai_chat.request import is_optional, refused_by, translate
from actors.providers.formats.openai_chat.tool_calls import ToolCalls
from actors.providers.formats.reader import Reader
from actors.providers.formats.token_usage import UsageFields
from actors.providers.formats.tool_names import OPENAI_NAMES
from actors.providers.redaction import Scrub
from actors.turn.chat_messages import CHAT_API
from actors.turn.chunks import (
    Chunk,
    ReasoningChunk,
    RefusalChunk,
    TextChunk,
    ToolCallChunk,
)


class _ChatFrames(Reader[Frame]):
    """Reader that turns Chat Completions frames into chunks.

    A frame's usage chunk precedes its finish chunk.
    """

    _frame_type = FRAME
    _text_in = re.compile(rb'"(?:content|text|refusal|arguments|input)"\s{0,8}:\s{0,8}"[^"]')

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._calls = ToolCalls()
        self._opaque: OpaqueFields | None = None
        """None until one comes, because most answers have none."""

    def _read_frame(self, frame: Frame, data: bytes, chunks: list[Chunk]) -> None:
        if frame.error != NULL or frame.object == "error":
            raise self._fail_with(data)
        if frame.usage or frame.x_groq is not None or frame.timings:
            self._add_usage(chunks, frame.usage, (frame.x_groq or Groq()).usage, frame.timings)
        if frame.citations:
            self._collected().sources = frame.citations
        for choice in frame.choices or ():
            if choice.index == 0:
                self._choice(choice, chunks)

    def _choice(self, choice: Choice, chunks: list[Chunk]) -> None:
        if choice.usage:
            self._add_usage(chunks, choice.usage)
        delta = choice.delta or choice.message
        if delta is not None:
            self._delta(delta, choice.logprobs, chunks)
        if choice.finish_reason:
            if choice.error != NULL:
                raise self._fail_with(b'{"error":%b}' % bytes(choice.error))
            sequence = met_stop_sequence(choice.stop_reason or choice.matched_stop)
            self._read_finish(choice.finish_reason, chunks, sequence)

    def _delta(self, delta: Delta, logprobs: Raw, chunks: list[Chunk]) -> None:
        if reasoning := delta.reasoning_content or delta.reasoning:
            chunks.append(ReasoningChunk(reasoning))
        if (
            delta.reasoning_details
            or delta.thinking_blocks
            or delta.extra_content
            or delta.reasoning_opaque
        ):
            self._collected().add(delta)
        if self._opaque is not None and (delta.content or delta.tool_calls):
            chunks += self._opaque.take()
        if delta.content:
            text = None if logprobs == NULL else one_line(logprobs)
            if isinstance(delta.content, str):
                chunks.append(TextChunk(delta.content, text))
            else:
                chunks.extend(_part_chunks(delta.content, text))
        if delta.refusal:
            chunks.append(RefusalChunk(delta.refusal))
        if delta.tool_calls or delta.function_call:
            chunks.extend(self._tool_calls(delta))
            self._call_count = max(self._call_count, self._calls.count, 1)
        if delta.annotations:
            chunks += self._collected().citations(delta.annotations)

    def _add_usage(self, chunks: list[Chunk], *usage: UsageFields) -> None:
        if self._count(*usage):
            self._report_usage(chunks)

    def _tool_calls(self, delta: Delta) -> Iterator[Chunk]:
        for call in delta.tool_calls or ():
            yield from call_state(call)
            if call.custom is not None:
                yield self._custom_call(call, call.custom)
                continue
            function = call.function
            yield ToolCallChunk(
                self._calls.number(call),
                call.id or None,
                (function.name or None) if function else None,
                (function.arguments or "") if function else "",
                extras=call_extras(call),
            )
        if (function := delta.function_call) is not None:
            yield ToolCallChunk(0, None, function.name or None, function.arguments or "")

    def _custom_call(self, call: Call, custom: Custom) -> ToolCallChunk:
        number, name, text = self._calls.number(call), custom.name or None, custom.input or ""
        return ToolCallChunk(number, call.id or None, name, text, "custom", call_extras(call))

    def _held_back(self) -> Iterator[Chunk]:
        return iter(()) if self._opaque is None else self._opaque.end()

    def _collected(self) -> OpaqueFields:
        self._opaque = self._opaque or OpaqueFields()
        return self._opaque


def _part_chunks(parts: list[Part], logprobs: str | None) -> Iterator[Chunk]:
    for part in parts:
        if part.is_thinking and part.shown:
            yield ReasoningChunk(part.shown)
        elif part.shown:
            yield TextChunk(part.shown, logprobs)
            logprobs = None


class OpenAIChatDecoder(_ChatFrames, SseStream[Frame]):
    """Decoder for a stream of server-sent events."""


class OpenAIWholeDecoder(_ChatFrames, Document[Frame]):
    """Decoder for an answer sent as one document although a stream was requested."""


OPENAI_CHAT = Format(
    api=CHAT_API,
    media=frozenset(
        {"image", "image/url", "image/other", "pdf", "file", "file/openai", "audio", "video"}
    ),
    path=lambda model: "/chat/completions",
    translate=translate,
    stream_decoder=OpenAIChatDecoder,
    whole_decoder=OpenAIWholeDecoder,
    tool_names=OPENAI_NAMES,
    optional=is_optional,
)
"""Chat Completions; the base URL ends in `/v1`."""

FORMAT = FormatSpec(
    "openai-chat", OPENAI_CHAT, embeddings_path="/embeddings", refused_by=refused_by
)
