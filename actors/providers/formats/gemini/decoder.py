"""Wire format `gemini`: Google's `streamGenerateContent`, as events or as one document."""

import re

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.base import Format, FormatSpec
from actors.providers.formats.decoding import Document, Reader, SseStream, usage_of
from actors.providers.formats.gemini.request import NAMES, path_of, translate
from actors.providers.formats.lenient_fields import NULL, FrameType, Number, read_or_none
from actors.turn.chunks import Chunk, ReasoningChunk, TextChunk, UsageChunk
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import Reason, Usage

_FINISHES = {
    "STOP": Reason.STOP,
    "FUNCTION_CALL": Reason.STOP,  # not Google's, but sent by compatible servers
    "MAX_TOKENS": Reason.LENGTH,
    "CONTINUATION": Reason.LENGTH,
    **dict.fromkeys(
        (
            *("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
            *("ESCALATION", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
        ),
        Reason.CONTENT_FILTER,
    ),
}
"""Finish reasons by `finishReason`.

All other values, such as `MALFORMED_FUNCTION_CALL` and `OTHER`, are failures of the model."""

_UNSPECIFIED = frozenset(
    {
        *(None, "", "FINISH_REASON_UNSPECIFIED"),
        *("BLOCKED_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"),
    }
)


class FunctionCall(Struct, gc=False):
    id: str | None = None
    name: str | None = None
    args: Raw = NULL


class Part(Struct, gc=False, rename="camel"):
    text: str | None = None
    thought: bool = False
    function_call: FunctionCall | None = None


class Content(Struct, gc=False):
    parts: list[Part] | None = None


class Candidate(Struct, gc=False, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: Number | None = None
    logprobs_result: Raw = NULL


class PromptFeedback(Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class UsageMetadata(Struct, gc=False, rename="camel"):
    prompt_token_count: Number | None = None
    tool_use_prompt_token_count: Number | None = None
    cached_content_token_count: Number | None = None
    candidates_token_count: Number | None = None
    thoughts_token_count: Number | None = None


class Frame(Struct, gc=False, rename="camel"):
    """One event of a stream, or a whole answer."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageMetadata | None = None
    response_id: str | None = None
    error: Raw = NULL


class Token(Struct, gc=False, rename="camel"):
    """A token and its log probability."""

    token: str = ""
    log_probability: float = 0.0


class TopCandidates(Struct, gc=False):
    candidates: list[Token] = []


class Logprobs(Struct, gc=False, rename="camel"):
    """A `LogprobsResult`: the chosen tokens and, for each, the most likely candidates."""

    chosen_candidates: list[Token] = []
    top_candidates: list[TopCandidates] = []


FRAME = FrameType(Frame)
read_logprobs = msgspec.json.Decoder(Logprobs).decode
_ARRAY = msgspec.json.Decoder(list[Raw])


def read_array(data: bytes) -> list[bytes]:
    """Return the frames of a stream sent as one array. Raises `msgspec.DecodeError`."""
    try:
        return [bytes(one) for one in _ARRAY.decode(data)]
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deeply") from error


class _Frames(Reader[Frame]):
    """Reader that turns frames into chunks.

    Every frame has usage, but before the finish its counts are too low, so usage chunks are emitted
    only with the finish and after it.
    """

    _frame_type = FRAME
    _text_in = re.compile(rb'"(?:text"\s{0,8}:\s{0,8}"[^"]|functionCall"\s{0,8}:\s{0,8}\{)')

    _usage: UsageMetadata | None = None

    def _read(self, data: bytes, chunks: list[Chunk]) -> None:
        """Append the chunks of one frame, or of an array of them. Raises `UpstreamFailure`."""
        if data.lstrip()[:1] != b"[":
            super()._read(data, chunks)
            return
        try:
            frames = read_array(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._repair_or_skip(data, chunks)
            return
        for one in frames:
            super()._read(one, chunks)

    def _read_frame(self, frame: Frame, data: bytes, chunks: list[Chunk]) -> None:
        if frame.error != NULL:
            raise self._fail_with(data)
        first = next((one for one in frame.candidates or () if not one.index), None)
        if first is not None:
            self._emit(first, frame, chunks)
        if (usage := frame.usage_metadata) is not None and usage.prompt_token_count is not None:
            self._usage = usage
        self._end(frame, first, chunks)

    def _emit(self, candidate: Candidate, frame: Frame, chunks: list[Chunk]) -> None:
        logprobs = _logprobs(candidate)
        for part in (candidate.content and candidate.content.parts) or ():
            if part.function_call is not None:
                call, seed = part.function_call, frame.response_id or ""
                chunks.append(self._whole_call(call.id, call.name, call.args, seed))
            elif part.text and part.thought:
                chunks.append(ReasoningChunk(part.text))
            elif part.text:
                chunks.append(TextChunk(part.text, logprobs))
                logprobs = None

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
            usage, self._usage = _usage(self._usage), None
            chunks += [] if usage is None else [UsageChunk(usage)]
        if blocked:
            self._finish(Reason.CONTENT_FILTER, chunks)
        elif ends and first is not None and not self.finished:
            self._finish(self._reason(first), chunks)

    def _reason(self, candidate: Candidate) -> Reason:
        finish = candidate.finish_reason or ""
        reason = _FINISHES.get(finish)
        if reason is None:
            raise self._failed_finish(finish, candidate.finish_message)
        return Reason.TOOL_CALLS if reason is Reason.STOP and self._call_count else reason

    def _failed_finish(self, finish: str, message: str | None) -> UpstreamFailure:
        text = message or f"the provider ended the answer with {finish[:80]}"
        failure = self._fail(FailureKind.IN_STREAM_ERROR, self._scrub(text))
        failure.code = self._scrub(finish[:80])
        return failure


class GeminiDecoder(_Frames, SseStream[Frame]):
    """Decoder for a stream of server-sent events, which ends without an end marker."""


class GeminiWholeDecoder(_Frames, Document[Frame]):
    """Decoder for an answer sent as one document although a stream was requested."""


def _usage(usage: UsageMetadata) -> Usage | None:
    """Return the usage, or None without a prompt count; other missing counts are zero."""
    prompt, thinking = usage.prompt_token_count, usage.thoughts_token_count or 0
    if prompt is None or min(prompt, thinking) < 0:
        return None
    input_count = prompt + (usage.tool_use_prompt_token_count or 0)
    output_count = thinking + (usage.candidates_token_count or 0)
    cached = usage.cached_content_token_count or 0
    return usage_of(input_count, output_count, cached, thinking)


def _logprobs(candidate: Candidate) -> str | None:
    """Return the log probabilities as JSON in the shape of Chat Completions."""
    found = read_or_none(read_logprobs, candidate.logprobs_result)
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


GEMINI = Format(
    path=path_of,
    translate=translate,
    stream_decoder=GeminiDecoder,
    whole_decoder=GeminiWholeDecoder,
    key_header=("x-goog-api-key", ""),
    tool_names=NAMES,
)
"""Gemini's API; the base URL ends in `/v1beta`."""

FORMAT = FormatSpec("gemini", GEMINI, "https://generativelanguage.googleapis.com/v1beta")
