"""Splits the bytes of answers into frames: the second half of every decoder, sans IO.

A decoder combines a `Reader`, which holds the state of one answer and reads its frames, with one of
these: `SseStream`, `LineStream` or `Document`.
"""

import msgspec

from actors.providers.formats.lenient_fields import F
from actors.providers.formats.reader import Reader
from actors.providers.redaction import Scrub
from actors.providers.sse import MAX_EVENT, EventTooLarge, SseDecoder, SseEvent
from actors.turn.chunks import Chunk
from actors.turn.model_call import FailureKind


class SseStream(Reader[F]):
    """A stream of server-sent events with JSON data."""

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._sse = SseDecoder()

    def _split(self, data: bytes, chunks: list[Chunk]) -> None:
        try:
            for event in self._sse.feed(data):
                if event.name or not event.data.startswith(b"{"):
                    self._read_special(event, chunks)
                elif not self.saw_end_marker:
                    self._read(event.data, chunks)
        except EventTooLarge as error:
            raise self._fail(FailureKind.MALFORMED, str(error)) from error

    def _read_special(self, event: SseEvent, chunks: list[Chunk]) -> None:
        """Read an event that has a name or isn't a JSON object."""
        if self.saw_end_marker or not event.data:
            return
        if event.data.upper().startswith((b"[DONE]", b'"[DONE]"')):
            self.saw_end_marker = True
        elif event.name == b"error":
            raise self._fail_with(event.data)
        else:
            self._read(event.data, chunks)

    def _split_rest(self, chunks: list[Chunk]) -> None:
        for event in self._sse.end():
            if is_whole(event.data):
                self._read_special(event, chunks)


class Document(Reader[F]):
    """One JSON document, which some servers send although a stream was requested."""

    _kind = "an answer"

    def __init__(self, scrub: Scrub = str) -> None:
        super().__init__(scrub)
        self._buffered: list[bytes] = []
        self._buffered_size = 0

    def _split(self, data: bytes, chunks: list[Chunk]) -> None:
        self._buffered.append(data)
        self._buffered_size += len(data)
        if self._buffered_size > MAX_EVENT:
            raise self._fail(FailureKind.MALFORMED, f"{self._kind} of over {MAX_EVENT} bytes")

    def _split_rest(self, chunks: list[Chunk]) -> None:
        if data := self._buffered_data():
            self._read(data, chunks)
            self.saw_end_marker = True  # a document has its own end

    def _buffered_data(self) -> bytes:
        """Return what is buffered, and clear the buffer."""
        data = b"".join(self._buffered)
        self._buffered.clear()
        self._buffered_size = 0
        return data


class LineStream(Document[F]):
    """A stream of JSON lines (NDJSON). Lines end in LF or CRLF; reads may cut them anywhere."""

    _kind = "a line"

    def _split(self, data: bytes, chunks: list[Chunk]) -> None:
        if b"\n" in data:
            *whole, data = (self._buffered_data() + data).split(b"\n")
            for line in whole:
                if not self.saw_end_marker and (text := line.strip()):
                    self._read(text, chunks)
        super()._split(data, chunks)

    def _split_rest(self, chunks: list[Chunk]) -> None:
        last = self._buffered_data().strip()
        if last and is_whole(last):
            self._read(last, chunks)


def is_whole(data: bytes) -> bool:
    """Return whether an unterminated last frame is complete: valid JSON or the end marker."""
    if data.upper() == b"[DONE]":
        return True
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
