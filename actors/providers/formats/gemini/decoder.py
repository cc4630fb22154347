"""Wire format `gemini`: Google's `streamGenerateContent`, as events or as one document."""

import re

import msgspec

from actors.providers.formats.base import Decoder, FormatSpec, RequestParts
from actors.providers.formats.decoding import Document, Reader, SseStream
from actors.providers.formats.gemini.frames import (
    Candidate,
    Frame,
    FunctionCall,
    Token,
    UsageMetadata,
    read_array,
    read_frame,
    read_logprobs,
)
from actors.providers.formats.gemini.request import path_of, request_of
from actors.providers.formats.lenient_fields import NULL, arguments, derive_call_id
from actors.providers.redaction import Scrub
from actors.runtime.json_pieces import encoded
from actors.turn.chunks import Chunk, ReasoningChunk, TextChunk, ToolCallChunk, UsageChunk
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from actors.turn.outcome import Reason, Usage

_FINISHES = {
    "STOP": Reason.STOP,
    "FUNCTION_CALL": Reason.STOP,  # not Google's, but sent by compatible servers
    "MAX_TOKENS": Reason.LENGTH,
    "CONTINUATION": Reason.LENGTH,
    "SAFETY": Reason.CONTENT_FILTER,
    "RECITATION": Reason.CONTENT_FILTER,
    "BLOCKLIST": Reason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": Reason.CONTENT_FILTER,
    "SPII": Reason.CONTENT_FILTER,
    "MODEL_ARMOR": Reason.CONTENT_FILTER,
    "ESCALATION": Reason.CONTENT_FILTER,
    "IMAGE_SAFETY": Reason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": Reason.CONTENT_FILTER,
    "IMAGE_RECITATION": Reason.CONTENT_FILTER,
}
"""Finish reasons by `finishReason`.

All other values, such as `MALFORMED_FUNCTION_CALL` and `OTHER`, are failures of the model."""

_UNSPECIFIED = frozenset(
    {
        None,
        "",
        "FINISH_REASON_UNSPECIFIED",
        "BLOCKED_REASON_UNSPECIFIED",
        "BLOCK_REASON_UNSPECIFIED",
    }
)


class Gemini:
    """Gemini's API as an `actors.providers.formats.base.Format`."""

    stream_type = "text/event-stream"

    def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        return request_of(call)[1]

    def build(self, call: ModelCall, api_key: str | None) -> RequestParts:
        headers = [
            ("content-type", "application/json"),
            ("accept", "text/event-stream, application/json"),
        ]
        if api_key is not None:
            headers.append(("x-goog-api-key", api_key))
        document, left_out = request_of(call)
        path = path_of(call.upstream_model)
        return RequestParts(path, tuple(headers), encoded(document), left_out)

    def stream_decoder(self, scrub: Scrub) -> Decoder:
        return GeminiDecoder(scrub)

    def whole_decoder(self, scrub: Scrub) -> Decoder:
        return GeminiWholeDecoder(scrub)


class _Frames(Reader):
    """Reader that turns frames into chunks.

    Every frame has usage, but before the finish its counts are too low, so usage chunks are emitted
    only with the finish and after it.
    """

    _text_in = re.compile(rb'"(?:text"\s{0,8}:\s{0,8}"[^"]|functionCall"\s{0,8}:\s{0,8}\{)')

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._calls = 0
        self._usage: Usage | None = None

    def _read(self, data: bytes, chunks: list[Chunk]) -> None:
        """Append the chunks of one frame, or of an array of them. Raises `UpstreamFailure`."""
        if data.lstrip()[:1] != b"[":
            self._frame(data, chunks)
            return
        try:
            frames = read_array(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._repair_or_skip(data, chunks)
            return
        for one in frames:
            self._frame(one, chunks)

    def _frame(self, data: bytes, chunks: list[Chunk]) -> None:
        try:
            frame, strict = read_frame(data)
        except msgspec.DecodeError:
            self._repair_or_skip(data, chunks)
            return
        try:
            self._read_frame_parts(data, frame, strict, chunks)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._skip_or_fail(data, chunks)

    def _read_frame_parts(
        self, data: bytes, frame: Frame, strict: bool, chunks: list[Chunk]
    ) -> None:
        if frame.error != NULL:
            raise self._fail_with(data)
        before = len(chunks)
        first = next((one for one in frame.candidates or () if not one.index), None)
        if first is not None:
            self._emit(first, frame, chunks)
        if frame.usage_metadata is not None:
            self._usage = _usage(frame.usage_metadata) or self._usage
        self._end(frame, first, chunks)
        if not strict and len(chunks) == before:
            chunks.append(self._skipped(data))

    def _emit(self, candidate: Candidate, frame: Frame, chunks: list[Chunk]) -> None:
        logprobs = _logprobs(candidate)
        for part in (candidate.content and candidate.content.parts) or ():
            if part.function_call is not None:
                chunks.append(self._call(part.function_call, frame.response_id or ""))
            elif part.text and part.thought:
                chunks.append(ReasoningChunk(part.text))
            elif part.text:
                chunks.append(TextChunk(part.text, logprobs))
                logprobs = None

    def _call(self, call: FunctionCall, response_id: str) -> ToolCallChunk:
        args, name, index = arguments(call.args), call.name or "", self._calls
        self._calls += 1
        id = call.id or derive_call_id(response_id, str(index), name, args)
        return ToolCallChunk(index, id, name, args)

    def _end(self, frame: Frame, first: Candidate | None, chunks: list[Chunk]) -> None:
        finish = first.finish_reason if first is not None else None
        feedback = frame.prompt_feedback
        blocked = (
            feedback is not None
            and not frame.candidates
            and feedback.block_reason not in _UNSPECIFIED
        )
        ends = blocked or finish not in _UNSPECIFIED
        if self._usage is not None and (self.finished or ends):
            chunks.append(UsageChunk(self._usage))
            self._usage = None
        if blocked:
            self._finish(Reason.CONTENT_FILTER, chunks)
        elif ends and first is not None and not self.finished:
            self._finish(self._reason(first), chunks)

    def _reason(self, candidate: Candidate) -> Reason:
        finish = candidate.finish_reason or ""
        reason = _FINISHES.get(finish)
        if reason is None:
            raise self._failed_finish(finish, candidate.finish_message)
        return Reason.TOOL_CALLS if reason is Reason.STOP and self._calls else reason

    def _failed_finish(self, finish: str, message: str | None) -> UpstreamFailure:
        text = message or f"the provider ended the answer with {finish[:80]}"
        failure = self._fail(FailureKind.IN_STREAM_ERROR, self._scrub(text))
        failure.code = self._scrub(finish[:80])
        return failure


class GeminiDecoder(_Frames, SseStream):
    """Decoder for a stream of server-sent events, which ends without an end marker."""


class GeminiWholeDecoder(_Frames, Document):
    """Decoder for one response, or an array of them (`streamGenerateContent` without SSE)."""


def _usage(usage: UsageMetadata) -> Usage | None:
    """Return the usage, or None without a prompt count; other missing counts are zero."""
    if usage.prompt_token_count is None:
        return None
    thinking_tokens = usage.thoughts_token_count or 0
    input_count = usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0)
    output_count = (usage.candidates_token_count or 0) + thinking_tokens
    if min(usage.prompt_token_count, thinking_tokens, input_count, output_count) < 0:
        return None
    return Usage(
        input_tokens=input_count,
        output_tokens=output_count,
        cached_input_tokens=max(0, usage.cached_content_token_count or 0),
        reasoning_tokens=thinking_tokens,
    )


def _logprobs(candidate: Candidate) -> str | None:
    """Return the log probabilities as JSON in the shape of Chat Completions."""
    if candidate.logprobs_result == NULL:
        return None
    found = read_logprobs(candidate.logprobs_result)
    if found is None:
        return None
    content = []
    for place, chosen in enumerate(found.chosen_candidates):
        others = found.top_candidates[place : place + 1]
        top = [_token(one) for several in others for one in several.candidates]
        content.append(_token(chosen) | {"top_logprobs": top})
    return msgspec.json.encode({"content": content}).decode()


def _token(token: Token) -> dict[str, object]:
    return {"token": token.token, "logprob": token.log_probability, "bytes": None}


FORMAT = FormatSpec("gemini", Gemini, "https://generativelanguage.googleapis.com/v1beta")
