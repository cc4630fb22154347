"""Wire format `openai-chat`: Chat Completions, streamed or as one document."""

import re
from collections.abc import Iterator

from actors.providers.formats.base import Format, FormatSpec
from actors.providers.formats.decoding import Document, Reader, SseStream, usage_of
from actors.providers.formats.lenient_fields import NULL, one_line
from actors.providers.formats.openai_chat.frames import FRAME, Choice, Delta, Frame, TokenUsage
from actors.providers.formats.openai_chat.request import is_optional, refused_by, translate
from actors.providers.formats.openai_chat.tool_calls import ToolCalls
from actors.providers.formats.tool_names import OPENAI_NAMES
from actors.providers.redaction import Scrub
from actors.turn.chunks import (
    Chunk,
    ReasoningChunk,
    RefusalChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.model_call import FailureKind
from actors.turn.outcome import Reason, Usage

_FINISHES = {
    "length": Reason.LENGTH,
    "tool_calls": Reason.TOOL_CALLS,
    "function_call": Reason.TOOL_CALLS,
    "content_filter": Reason.CONTENT_FILTER,
}
"""Finish reasons by `finish_reason`.

Any other value means `stop`: a provider-specific reason is an end that the provider chose."""


class _ChatFrames(Reader[Frame]):
    """Reader that turns Chat Completions frames into chunks.

    A frame's usage chunk precedes its finish chunk.
    """

    _frame_type = FRAME
    _text_in = re.compile(rb'"(?:content|text|refusal|arguments)"\s{0,8}:\s{0,8}"[^"]')

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._calls = ToolCalls()

    def _read_frame(self, frame: Frame, data: bytes, chunks: list[Chunk]) -> None:
        if frame.error != NULL or frame.object == "error":
            raise self._fail_with(data)
        if frame.usage is not None and (usage := _usage(frame.usage)) is not None:
            chunks.append(UsageChunk(usage))
        for choice in frame.choices or ():
            if choice.index == 0:
                self._choice(choice, chunks)

    def _choice(self, choice: Choice, chunks: list[Chunk]) -> None:
        delta = choice.delta or choice.message
        if delta is not None:
            if reasoning := delta.reasoning_content or delta.reasoning:
                chunks.append(ReasoningChunk(reasoning))
            if delta.content:
                logprobs = choice.logprobs
                text = None if logprobs == NULL else one_line(logprobs)
                chunks.append(TextChunk(delta.content, text))
            if delta.refusal:
                chunks.append(RefusalChunk(delta.refusal))
            if delta.tool_calls or delta.function_call:
                chunks.extend(self._tool_calls(delta))
        if choice.finish_reason:
            self._end(choice.finish_reason, chunks)

    def _tool_calls(self, delta: Delta) -> Iterator[ToolCallChunk]:
        for call in delta.tool_calls or ():
            function = call.function
            yield ToolCallChunk(
                self._calls.number(call),
                call.id or None,
                (function.name or None) if function else None,
                (function.arguments or "") if function else "",
            )
        if (function := delta.function_call) is not None:
            yield ToolCallChunk(0, None, function.name or None, function.arguments or "")

    def _end(self, reason: str, chunks: list[Chunk]) -> None:
        if reason == "error":
            raise self._fail(FailureKind.IN_STREAM_ERROR, "the provider ended with an error")
        self._finish(_FINISHES.get(reason, Reason.STOP), chunks)


class OpenAIChatDecoder(_ChatFrames, SseStream[Frame]):
    """Decoder for a stream of server-sent events."""


class OpenAIWholeDecoder(_ChatFrames, Document[Frame]):
    """Decoder for an answer sent as one document although a stream was requested."""


def _usage(usage: TokenUsage) -> Usage | None:
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return usage_of(
        usage.prompt_tokens,
        usage.completion_tokens,
        (prompt and prompt.cached_tokens) or 0,
        (completion and completion.reasoning_tokens) or 0,
    )


OPENAI_CHAT = Format(
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
