"""Base class of the decoders of all wire formats: the state of one answer, sans IO.

`decoding` has the classes that split bytes into the frames that are read here. The interface is
`actors.providers.formats.base.Decoder`.
"""

import re
from collections.abc import Iterable
from typing import ClassVar, Generic

import msgspec
from msgspec import Raw

from actors.providers.error_body import read_error
from actors.providers.formats.finish_words import Unfinished, meaning_of
from actors.providers.formats.lenient_fields import F, FrameType, arguments, without_odd_numbers
from actors.providers.formats.surrogates import SurrogateJoiner
from actors.providers.formats.token_usage import (
    Counts,
    UsageFields,
    merged,
    read_counts,
    usage_of,
)
from actors.providers.redaction import Scrub
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    NativeItemChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
    WarningChunk,
)
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import Reason

CONTENT = (TextChunk, ReasoningChunk, RefusalChunk, ToolCallChunk, NativeItemChunk)
_SHOWN_CHARS = 80
"""Maximum number of characters of a malformed frame that are reported."""
_SCRUBBED_BYTES = 4096
"""Bytes that are scrubbed before cutting to `_SHOWN_CHARS`: a cut-off secret wouldn't be found."""
_MAX_SHOWN = 100
"""Maximum number of malformed frames of an answer whose text is reported; scrubbing takes time."""
_NO_COUNTS: Counts = {}


class Reader(Generic[F]):
    """State of one answer: ended or failed.

    Its `feed` and `end` read data that is one frame; those of `decoding` split a stream.
    """

    _frame_type: FrameType[F]
    _text_in: ClassVar[re.Pattern[bytes]]
    """Matches, in a frame that isn't JSON, content that a client would have been shown."""
    _excludes_cache: ClassVar = False
    """True if the format's count of the input excludes the tokens of a cache."""
    _excludes_reasoning: ClassVar = False
    """True if the format's count of the output excludes the tokens of reasoning."""
    _fails_if_odd: ClassVar = False
    """True if an unknown finish word means a failure."""

    def __init__(self, scrub: Scrub = str) -> None:
        self._scrub = scrub
        self._surrogates = SurrogateJoiner()
        self._failure: UpstreamFailure | None = None
        self._skipped_count = 0
        self._call_count = 0
        """Number of tool calls so far; chunks number calls separately from other content."""
        self._counts: Counts = _NO_COUNTS
        """Token counts of all frames so far."""
        self._reason: Reason | None = None
        """Finish reason so far; more of the answer may follow it."""
        self._odd_word: str | None = None
        """Last finish word that isn't known."""
        self._has_content = False
        self.saw_end_marker = False
        """True once the format's own end marker has been seen."""

    @property
    def over(self) -> bool:
        """True if nothing more should be fed: the end marker or a failure has been seen."""
        return self.saw_end_marker or self._failure is not None

    def feed(self, data: bytes) -> list[Chunk]:
        """See `actors.providers.formats.base.Decoder`."""
        if self._failure is not None:
            raise self._failure
        chunks: list[Chunk] = []
        try:
            self._split(data, chunks)
        except (UnicodeDecodeError, RecursionError, UpstreamFailure) as error:
            self._raise_after(chunks, error)
        if not self._has_content:
            self._has_content = any(isinstance(chunk, CONTENT) for chunk in chunks)
        if self.saw_end_marker:
            self._conclude(chunks)
        return chunks

    def end(self) -> list[Chunk]:
        """See `actors.providers.formats.base.Decoder`."""
        chunks: list[Chunk] = []
        if not self.over:
            try:
                self._split_rest(chunks)
            except (UnicodeDecodeError, RecursionError, UpstreamFailure) as error:
                self._raise_after(chunks, error)
            self._has_content |= any(isinstance(chunk, CONTENT) for chunk in chunks)
            if self.saw_end_marker:
                self._conclude(chunks)
        if self._failure is not None and not chunks:
            raise self._failure
        if not chunks and self._reason is None:
            raise self._fail(FailureKind.TRUNCATED, "the answer ended without a finish reason")
        return chunks

    def _conclude(self, chunks: list[Chunk]) -> None:
        """Append the finish reason that the end marker implies, if none has been seen.

        A server that ends its stream in order says so that the answer is whole.
        """
        if self._failure is None and (self._has_content or self._reason is Reason.STOP):
            self._finish(self._reason or Reason.STOP, chunks)

    def _raise_after(self, chunks: list[Chunk], error: Exception) -> None:
        """Raise a failure if there are no chunks to return; else the next call raises it."""
        if not isinstance(error, UpstreamFailure):
            odd = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "nested too deeply"
            error = self._fail(FailureKind.MALFORMED, f"a frame that is {odd}")
        if not chunks:
            raise error from None

    def _split(self, data: bytes, chunks: list[Chunk]) -> None:
        """Append the chunks of the frames that `data` completes. Raises `UpstreamFailure`."""
        self._read(data, chunks)

    def _split_rest(self, chunks: list[Chunk]) -> None:
        """Append the chunks of what is still buffered at the end. Raises `UpstreamFailure`."""

    def _read(self, data: bytes, chunks: list[Chunk]) -> None:
        """Append the chunks of one JSON frame. Raises `UpstreamFailure`."""
        try:
            try:
                frame, strict = self._frame_type.strict(data), True
            except msgspec.ValidationError:
                frame, strict = self._frame_type.lenient(data), False
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._repair_or_skip(data, chunks)
            return
        count = len(chunks)
        try:
            self._read_frame(frame, data, chunks)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._skip_or_fail(data, chunks)
        if len(chunks) == count and self._is_unreadable(frame, strict=strict):
            chunks.append(self._skipped(data))

    def _read_frame(self, frame: F, data: bytes, chunks: list[Chunk]) -> None:
        """Append the chunks of a frame, whose JSON is `data`.

        Raises the result of `_fail` or `_fail_with`, or `msgspec.DecodeError`.
        """
        raise NotImplementedError

    def _is_unreadable(self, frame: F, *, strict: bool) -> bool:
        """Return whether to report a frame without chunks; `strict` if it matched its type."""
        return not strict

    def _repair_or_skip(self, data: bytes, chunks: list[Chunk]) -> None:
        """Read a frame that isn't JSON after repairing what servers often get wrong, or skip it."""
        repaired = without_odd_numbers(data) or self._surrogates.joined(data)
        if repaired is not None:
            self._read(repaired, chunks)
        else:
            self._skip_or_fail(data, chunks)

    def _skip_or_fail(self, data: bytes, chunks: list[Chunk]) -> None:
        """Skip a frame. Raises `UpstreamFailure` if it contains text, which would be lost."""
        if self._text_in.search(data):
            raise self._fail(FailureKind.MALFORMED, "a malformed frame with text in it") from None
        chunks.append(self._skipped(data))

    def _skipped(self, data: bytes) -> SkippedChunk:
        """Return a chunk that reports a skipped frame by its scrubbed beginning."""
        self._skipped_count += 1
        if self._skipped_count > _MAX_SHOWN:
            return SkippedChunk("one more malformed frame")
        text = data[:_SCRUBBED_BYTES].decode("utf-8", "replace").replace("\\/", "/")
        return SkippedChunk(ascii(self._scrub(text)[:_SHOWN_CHARS]))

    def _whole_call(self, id: str | None, name: str | None, args: Raw) -> ToolCallChunk:
        """Return the chunk of a tool call that came whole. Raises `msgspec.DecodeError`."""
        text, number = arguments(args), self._call_count
        self._call_count += 1
        return ToolCallChunk(number, id or None, name or "", text)

    def _count(self, *usage: UsageFields) -> Counts:
        """Add the counts of usage objects, and return these counts."""
        counts = read_counts(*usage)
        self._counts = merged(self._counts, counts)
        return counts

    def _report_usage(self, chunks: list[Chunk]) -> None:
        """Append the usage so far, if it is complete."""
        usage = usage_of(
            self._counts,
            excludes_cache=self._excludes_cache,
            excludes_reasoning=self._excludes_reasoning,
        )
        if usage is not None:
            chunks.append(UsageChunk(usage))

    def _read_finish(
        self, word: str, chunks: list[Chunk], stop_sequence: str | None = None
    ) -> None:
        """Append the finish reason for the server's word; warn of a word that is unknown.

        Raises `UpstreamFailure` for a word that means a failure.
        """
        meaning = meaning_of(word)
        if meaning is Unfinished.NOT_YET:
            return
        if meaning is Unfinished.FAILED or (meaning is None and self._fails_if_odd):
            raise self._failed_finish(word)
        if meaning is None and word != self._odd_word:
            self._odd_word = word
            shown = ascii(self._scrub(word[:_SHOWN_CHARS]))
            text = f"The provider ended the answer with the unknown finish reason {shown}."
            chunks.append(WarningChunk("finish_reason_unknown", text))
        self._finish(meaning or Reason.STOP, chunks, stop_sequence)

    def _finish(
        self, reason: Reason, chunks: list[Chunk], stop_sequence: str | None = None
    ) -> None:
        """Append the finish reason, unless it says nothing new.

        A stop with calls of tools waits for their results. It never replaces another reason: some
        servers end even a cut answer with a stop.
        """
        chunks += self._held_back()
        if reason is Reason.STOP:
            if self._reason not in (None, Reason.STOP):
                return
            reason = Reason.TOOL_CALLS if self._call_count else reason
        if reason is not self._reason:
            self._reason = reason
            chunks.append(FinishChunk(reason, stop_sequence))

    def _held_back(self) -> Iterable[Chunk]:
        """Return chunks that wait for the end of the answer, and forget them."""
        return ()

    def _failed_finish(self, word: str, message: str | None = None) -> UpstreamFailure:
        """Return the failure of an answer that the server gave up, with its word as the code."""
        word = self._scrub(word[:_SHOWN_CHARS])
        text = self._scrub(message) if message else f"the provider ended the answer with {word}"
        failure = self._fail(FailureKind.IN_STREAM_ERROR, text)
        failure.code = word
        return failure

    def _fail(self, kind: FailureKind, message: str) -> UpstreamFailure:
        """Return a failure to raise; it is stored and raised again at the next call."""
        self._failure = UpstreamFailure(kind, message)
        return self._failure

    def _fail_with(self, data: bytes) -> UpstreamFailure:
        """Return the failure for an error frame, with the provider's scrubbed message."""
        self._failure = in_stream_failure(data, self._scrub)
        return self._failure


def in_stream_failure(data: bytes, scrub: Scrub) -> UpstreamFailure:
    """Return the failure for an error in an answer, with the provider's scrubbed message."""
    error = read_error(data)
    if error is None:
        return UpstreamFailure(FailureKind.IN_STREAM_ERROR, "the provider reported an error")
    return UpstreamFailure(
        FailureKind.IN_STREAM_ERROR,
        scrub(error.message),
        status=error.status,
        code=error.code and scrub(error.code),
        type=error.type and scrub(error.type),
        param=error.param and scrub(error.param),
        retry_after_s=error.retry_after_s,
    )
