"""Base classes of the decoders of all wire formats, sans IO.

A decoder combines a `Reader`, which holds the state of one answer and reads its frames, with a
class that splits bytes into frames: `SseStream`, `LineStream` or `Document`. The interface is
`actors.providers.formats.base.Decoder`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import msgspec

from actors.providers.error_body import read_error
from actors.providers.formats.surrogates import SurrogateJoiner
from actors.providers.redaction import Scrub
from actors.providers.sse import MAX_EVENT, EventTooLarge, SseDecoder, SseEvent
from actors.turn.chunks import Chunk, FinishChunk, SkippedChunk
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import Reason

_SHOWN_CHARS = 80
"""Maximum number of characters of a malformed frame that are reported."""
_SCRUBBED_BYTES = 4096
"""Bytes that are scrubbed before cutting to `_SHOWN_CHARS`: a cut-off secret wouldn't be found."""
_MAX_SHOWN = 100
"""Maximum number of malformed frames of an answer whose text is reported; scrubbing takes time."""


class Reader:
    """State of one answer: finished, ended or failed."""

    _text_in: ClassVar[re.Pattern[bytes]]
    """Matches, in a frame that isn't JSON, content that a client would have been shown."""

    def __init__(self, scrub: Scrub = str) -> None:
        self._scrub = scrub
        self._surrogates = SurrogateJoiner()
        self._failure: UpstreamFailure | None = None
        self._skipped_count = 0
        self.finished = False
        """True once a finish reason has been seen."""
        self.saw_end_marker = False
        """True once the format's own end marker has been seen."""

    @property
    def over(self) -> bool:
        """True if nothing more should be fed: the end marker or a failure has been seen."""
        return self.saw_end_marker or self._failure is not None

    def _read(self, data: bytes, chunks: list[Chunk]) -> None:
        """Append the chunks of one JSON frame. Raises the result of `_fail` or `_fail_with`."""
        raise NotImplementedError

    def _repair_or_skip(self, data: bytes, chunks: list[Chunk]) -> None:
        """Read a frame that isn't JSON after joining split surrogates, or skip it."""
        if (joined := self._surrogates.joined(data)) is not None:
            self._read(joined, chunks)
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

    def _unreadable(self, error: UnicodeDecodeError | RecursionError) -> UpstreamFailure:
        odd = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "nested too deeply"
        return self._fail(FailureKind.MALFORMED, f"a frame that is {odd}")

    @contextmanager
    def _chunks_first(self, chunks: list[Chunk]) -> Iterator[None]:
        """Defer a failure in the block to the next call if there are chunks to return."""
        try:
            yield
        except (UnicodeDecodeError, RecursionError) as error:
            failure = self._unreadable(error)
            if not chunks:
                raise failure from None
        except UpstreamFailure:
            if not chunks:
                raise

    def _finish(self, reason: Reason, chunks: list[Chunk]) -> None:
        """Append the finish reason unless one has been seen: only the first counts."""
        if not self.finished:
            self.finished = True
            chunks.append(FinishChunk(reason))

    def _fail(self, kind: FailureKind, message: str) -> UpstreamFailure:
        """Return a failure to raise; it is stored and raised again at the next call."""
        self._failure = UpstreamFailure(kind, message)
        return self._failure

    def _fail_with(self, data: bytes) -> UpstreamFailure:
        """Return the failure for an error frame, with the provider's scrubbed message."""
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

    def _check_finished(self) -> None:
        if self._failure is not None:
            raise self._failure
        if not self.finished:
            raise self._fail(FailureKind.TRUNCATED, "the answer ended without a finish reason")


class SseStream(Reader):
    """A stream of server-sent events with JSON data."""

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._sse = SseDecoder()

    def feed(self, data: bytes) -> list[Chunk]:
        """See `actors.providers.formats.base.Decoder`."""
        if self._failure is not None:
            raise self._failure
        chunks: list[Chunk] = []
        try:
            for event in self._sse.feed(data):
                if event.name or not event.data.startswith(b"{"):
                    self._read_special(event, chunks)
                elif not self.saw_end_marker:
                    self._read(event.data, chunks)
        except EventTooLarge as error:
            raise self._fail(FailureKind.MALFORMED, str(error)) from error
        # The same as `_chunks_first`, without the cost of a generator per read.
        except (UnicodeDecodeError, RecursionError) as error:
            failure = self._unreadable(error)
            if not chunks:
                raise failure from None
        except UpstreamFailure:
            if not chunks:
                raise
        return chunks

    def _read_special(self, event: SseEvent, chunks: list[Chunk]) -> None:
        """Read an event that has a name or isn't a JSON object."""
        if self.saw_end_marker or not event.data:
            return
        if event.data.startswith(b"[DONE]"):
            self.saw_end_marker = True
        elif event.name == b"error":
            raise self._fail_with(event.data)
        else:
            self._read(event.data, chunks)

    def end(self) -> list[Chunk]:
        """See `actors.providers.formats.base.Decoder`."""
        chunks: list[Chunk] = []
        if not self.over:
            with self._chunks_first(chunks):
                for event in self._sse.end():
                    if _is_whole(event.data):
                        self._read_special(event, chunks)
        if not chunks:
            self._check_finished()
        return chunks


class LineStream(Reader):
    """A stream of JSON lines (NDJSON). Lines end in LF or CRLF; reads may cut them anywhere."""

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._buffered: list[bytes] = []
        self._buffered_size = 0

    def feed(self, data: bytes) -> list[Chunk]:
        """See `actors.providers.formats.base.Decoder`."""
        if self._failure is not None:
            raise self._failure
        chunks: list[Chunk] = []
        try:
            for line in self._lines(data):
                if line and not self.saw_end_marker:
                    self._read(line, chunks)
            if self._buffered_size > MAX_EVENT:
                raise self._fail(FailureKind.MALFORMED, f"a line of over {MAX_EVENT} bytes")
        # The same as `_chunks_first`, without the cost of a generator per read.
        except (UnicodeDecodeError, RecursionError) as error:
            failure = self._unreadable(error)
            if not chunks:
                raise failure from None
        except UpstreamFailure:
            if not chunks:
                raise
        return chunks

    def _lines(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now; buffer the rest."""
        if b"\n" in data:
            data = b"".join((*self._buffered, data))
            self._buffered.clear()
            self._buffered_size = 0
        *whole, rest = data.split(b"\n")
        if rest:
            self._buffered.append(rest)
            self._buffered_size += len(rest)
        return [line.strip() for line in whole]

    def end(self) -> list[Chunk]:
        """See `actors.providers.formats.base.Decoder`."""
        chunks: list[Chunk] = []
        last = b"".join(self._buffered).strip()
        self._buffered.clear()
        if last and not self.over and _is_whole(last):
            with self._chunks_first(chunks):
                self._read(last, chunks)
        if not chunks:
            self._check_finished()
        return chunks


class Document(Reader):
    """One JSON document, which some servers send although a stream was requested."""

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Chunk]:
        """See `actors.providers.formats.base.Decoder`."""
        self._parts.append(data)
        self._size += len(data)
        if self._size > MAX_EVENT:
            raise self._fail(FailureKind.MALFORMED, f"an answer of over {MAX_EVENT} bytes")
        return []

    def end(self) -> list[Chunk]:
        """See `actors.providers.formats.base.Decoder`."""
        data = b"".join(self._parts)
        self._parts.clear()
        chunks: list[Chunk] = []
        if data and self._failure is None:
            with self._chunks_first(chunks):
                self._read(data, chunks)
        if not chunks:
            self._check_finished()
        return chunks


def _is_whole(data: bytes) -> bool:
    """Return whether an unterminated last frame is complete: valid JSON or the end marker."""
    if data == b"[DONE]":
        return True
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
