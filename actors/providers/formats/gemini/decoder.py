"""Wire format `gemini`: Google's `streamGenerateContent`, as events or as one document."""

import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from actors.providers.formats.base import Format, FormatSpec
from actors.providers.formats.decoding import Document, SseStream
from actors.providers.formats.gemini.contents import API
from actors.providers.formats.gemini.grounding import citations
from actors.providers.formats.gemini.request import NAMES, path_of, translate
from actors.providers.formats.lenient_fields import NULL, FrameType, Number, read_or_none, word
from actors.providers.formats.reader import Reader
from actors.providers.formats.token_usage import UsageFields
from actors.providers.redaction import Scrub
from actors.turn.chunks import (
    AnnotationChunk,
    Chunk,
    ReasoningChunk,
    ReasoningStateChunk,
    TextChunk,
)
from actors.turn.model_call import UpstreamFailure
from actors.turn.outcome import Reason

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
    thought_signature: str | None = None
    function_call: FunctionCall | None = None


class Content(Struct, gc=False):
    parts: list[Part] | None = None


class Candidate(Struct, gc=False, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: Number | None = None
    logprobs_result: Raw = NULL
    grounding_metadata: Raw = NULL


class PromptFeedback(Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class Frame(Struct, gc=False, rename="camel"):
    """One event of a stream, or a whole answer."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageFields = None
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


FRAME = FrameType(Frame, finish_reason=word)
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
    _excludes_reasoning = True
    _fails_if_odd = True
    _text_in = re.compile(rb'"(?:text"\s{0,8}:\s{0,8}"[^"]|functionCall"\s{0,8}:\s{0,8}\{)')

    _uncounted: Sequence[UsageFields] = ()
    """The last two usage objects that weren't reported; every frame has one."""
    _finish_message: str | None = None
    """Server's explanation of its last finish word."""

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._texts: list[str] = []
        self._cited: set[AnnotationChunk] = set()
        self._text_signatures: list[Chunk] = []
        """Signatures of texts, emitted at the end so that they don't split a text in two."""

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
            self._emit(first, chunks)
        if frame.usage_metadata:
            self._uncounted = [*self._uncounted[-1:], frame.usage_metadata]
        self._end(frame, first, chunks)

    def _emit(self, candidate: Candidate, chunks: list[Chunk]) -> None:
        logprobs = _logprobs(candidate)
        for part in (candidate.content and candidate.content.parts) or ():
            if part.function_call is not None:
                self._emit_call(part.function_call, part.thought_signature, chunks)
                continue
            if part.text and part.thought:
                chunks.append(ReasoningChunk(part.text))
            elif part.text:
                self._texts.append(part.text)
                chunks.append(TextChunk(part.text, logprobs))
                logprobs = None
            if part.thought_signature and part.thought:
                chunks.append(signature_chunk(part.thought_signature, "thought"))
            elif part.thought_signature:
                self._text_signatures.append(signature_chunk(part.thought_signature, "text"))
        if candidate.grounding_metadata != NULL:
            for one in citations(candidate.grounding_metadata, self._texts):
                if one not in self._cited:
                    self._cited.add(one)
                    chunks.append(one)

    def _emit_call(self, call: FunctionCall, signature: str | None, chunks: list[Chunk]) -> None:
        chunk = self._whole_call(call.id, call.name, call.args)
        if signature:
            # Clients of Chat know the signature as a field of the call, others as reasoning.
            chunks.append(signature_chunk(signature, "functionCall"))
            extras = {"extra_content": {"google": {"thought_signature": signature}}}
            chunk = replace(chunk, extras=msgspec.json.encode(extras).decode())
        chunks.append(chunk)

    def _end(self, frame: Frame, first: Candidate | None, chunks: list[Chunk]) -> None:
        finish = first.finish_reason if first is not None else None
        feedback = frame.prompt_feedback
        blocked = (
            feedback is not None
            and not frame.candidates
            and feedback.block_reason not in _UNSPECIFIED
        )
        ends = blocked or finish not in _UNSPECIFIED
        if self._uncounted and (self._reason is not None or ends):
            for usage in self._uncounted:
                self._count(usage)
            self._uncounted = ()
            self._counts = {"output": 0, **self._counts}  # a missing count is zero
            self._report_usage(chunks)
        if blocked:
            self._finish(Reason.CONTENT_FILTER, chunks)
        elif ends and first is not None:
            self._finish_message = first.finish_message
            self._read_finish(first.finish_reason or "", chunks)

    def _held_back(self) -> list[Chunk]:
        held, self._text_signatures = self._text_signatures, []
        return held

    def _failed_finish(self, word: str, message: str | None = None) -> UpstreamFailure:
        return super()._failed_finish(word, message or self._finish_message)


class GeminiDecoder(_Frames, SseStream[Frame]):
    """Decoder for a stream of server-sent events, which ends without an end marker."""


class GeminiWholeDecoder(_Frames, Document[Frame]):
    """Decoder for an answer sent as one document although a stream was requested."""


def signature_chunk(signature: str, part: str) -> ReasoningStateChunk:
    """Return the chunk for the signature of a part of this kind."""
    state = {"thoughtSignature": signature, "part": part}
    return ReasoningStateChunk(API, msgspec.json.encode(state).decode())


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
    api=API,
    media=frozenset(
        {
            *("image", "image/url", "image/other", "pdf", "pdf/url", "file", "file/url"),
            *("audio", "video", "text"),
        }
    ),
    path=path_of,
    translate=translate,
    stream_decoder=GeminiDecoder,
    whole_decoder=GeminiWholeDecoder,
    key_header=("x-goog-api-key", ""),
    tool_names=NAMES,
)
"""Gemini's API; the base URL ends in `/v1beta`."""

FORMAT = FormatSpec("gemini", GEMINI, "https://generativelanguage.googleapis.com/v1beta")
