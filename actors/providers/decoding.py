"""What the decoders of all formats have in common; a format adds how its frames are read.

Sans IO. A decoder is one `Reader` with the state of an answer, and the way its bytes are cut into
frames: `SseStream`, `LineStream` or `Document`. See `actors.providers.formats.Decoder`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import msgspec

from actors.chunks import Chunk, FinishChunk, SkippedChunk
from actors.outcome import Reason
from actors.providers.base import FailureKind, UpstreamFailure
from actors.providers.error_body import read_error
from actors.providers.halves import Halves
from actors.providers.scrub import Scrub
from actors.providers.sse import MAX_EVENT, EventTooLarge, SseDecoder, SseEvent

_SHOWN = 80
"""Characters of a malformed frame that are told."""
_SCRUBBED = 4096
"""Bytes of it that secrets are looked for in: one that is cut off would not be found."""
_MOST_SHOWN = 100
"""Malformed frames of an answer that are shown: looking for secrets takes time."""


class Reader:
    """The state of one answer: whether it has finished, ended or failed."""

    _text_in: ClassVar[re.Pattern[bytes]]
    """Finds in a frame that is no JSON what a client would have been shown."""

    def __init__(self, scrub: Scrub = str) -> None:
        self._scrub = scrub
        self._halves = Halves()
        self._failure: UpstreamFailure | None = None
        self._skips = 0
        self.finished = False
        """A finish reason has been seen."""
        self.marked = False
        """The format's own end marker has been seen."""

    @property
    def over(self) -> bool:
        """Nothing more is to be fed."""
        return self.marked or self._failure is not None

    def _read(self, data: bytes, chunks: list[Chunk]) -> None:
        """Append the chunks of one JSON frame. Raises what `_fail` and `_fail_with` return."""
        raise NotImplementedError

    def _malformed(self, data: bytes, chunks: list[Chunk]) -> None:
        """Mend a frame that is no JSON and read it, or leave it out."""
        if (mended := self._halves.mended(data)) is not None:
            self._read(mended, chunks)
        else:
            self._leave_out(data, chunks)

    def _leave_out(self, data: bytes, chunks: list[Chunk]) -> None:
        """Skip a frame. Raises `UpstreamFailure` where there is text in it."""
        if self._text_in.search(data):
            raise self._fail(FailureKind.MALFORMED, "a malformed frame with text in it") from None
        chunks.append(self._skipped(data))

    def _skipped(self, data: bytes) -> SkippedChunk:
        """What is told of a malformed frame in which no text can be made out: its beginning."""
        self._skips += 1
        if self._skips > _MOST_SHOWN:
            return SkippedChunk("one more malformed frame")
        text = data[:_SCRUBBED].decode("utf-8", "replace").replace("\\/", "/")
        return SkippedChunk(ascii(self._scrub(text)[:_SHOWN]))

    def _unreadable(self, error: UnicodeDecodeError | RecursionError) -> UpstreamFailure:
        odd = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "nested too deeply"
        return self._fail(FailureKind.MALFORMED, f"a frame that is {odd}")

    @contextmanager
    def _chunks_first(self, chunks: list[Chunk]) -> Iterator[None]:
        """A failure inside waits for the next call where this one has chunks to return."""
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
        """The model's finish reason; only the first counts."""
        if not self.finished:
            self.finished = True
            chunks.append(FinishChunk(reason))

    def _fail(self, kind: FailureKind, message: str) -> UpstreamFailure:
        """A failure to raise; it is kept and raised again at the next call."""
        self._failure = UpstreamFailure(kind, message)
        return self._failure

    def _fail_with(self, data: bytes) -> UpstreamFailure:
        """The failure that an error frame tells of, in the provider's scrubbed words."""
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
    """Frames are server-sent events with JSON in them."""

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
        except (UnicodeDecodeError, RecursionError) as error:
            failure = self._unreadable(error)
            if not chunks:
                raise failure from None
        except UpstreamFailure:
            if not chunks:
                raise
        return chunks

    def _unusual(self, event: SseEvent, chunks: list[Chunk]) -> None:
        """An event that has a name, or is no JSON object."""
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
            with self._chunks_first(chunks):
                for event in self._sse.end():
                    if _is_whole(event.data):
                        self._unusual(event, chunks)
        if not chunks:
            self._check_finished()
        return chunks


class LineStream(Reader):
    """Frames are lines of JSON (NDJSON). Lines may end in LF or CRLF, cut anywhere."""

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._held: list[bytes] = []
        self._held_size = 0

    def feed(self, data: bytes) -> list[Chunk]:
        """See `actors.providers.formats.Decoder`."""
        if self._failure is not None:
            raise self._failure
        chunks: list[Chunk] = []
        try:
            for line in self._lines(data):
                if line and not self.marked:
                    self._read(line, chunks)
            if self._held_size > MAX_EVENT:
                raise self._fail(FailureKind.MALFORMED, f"a line of over {MAX_EVENT} bytes")
        except (UnicodeDecodeError, RecursionError) as error:
            failure = self._unreadable(error)
            if not chunks:
                raise failure from None
        except UpstreamFailure:
            if not chunks:
                raise
        return chunks

    def _lines(self, data: bytes) -> list[bytes]:
        """The lines that are whole now; what is left is held."""
        if b"\n" in data:
            data = b"".join((*self._held, data))
            self._held.clear()
            self._held_size = 0
        *whole, rest = data.split(b"\n")
        if rest:
            self._held.append(rest)
            self._held_size += len(rest)
        return [line.strip() for line in whole]

    def end(self) -> list[Chunk]:
        """See `actors.providers.formats.Decoder`."""
        chunks: list[Chunk] = []
        last = b"".join(self._held).strip()
        self._held.clear()
        if last and not self.over and _is_whole(last):
            with self._chunks_first(chunks):
                self._read(last, chunks)
        if not chunks:
            self._check_finished()
        return chunks


class Document(Reader):
    """The answer is one JSON document, which may come although a stream had been asked for."""

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
            with self._chunks_first(chunks):
                self._read(data, chunks)
        if not chunks:
            self._check_finished()
        return chunks


def _is_whole(data: bytes) -> bool:
    """Whether a frame that the stream's end cut off can be taken for all of what it was."""
    if data == b"[DONE]":
        return True
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
