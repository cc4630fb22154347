"""Limits on received frames: sizes, checked at the frame's header, and control frames. Pure.

`h2` buffers a whole frame, up to 16 MiB, before it compares the length with the maximum that it
announced, and any number of frames costs the client nothing.
"""

from collections.abc import Iterator

from h2.errors import ErrorCodes

FRAMES_IN_A_ROW = 16
"""Number of frames that are handled before other tasks get to run."""
_BURST = 1000
_PER_S = 33
"""Control frames that a client may send at once, and per second: nghttp2's limit on resets."""

_PREFACE = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
_HEADER = 9
_DATA, _HEADERS, _WINDOW_UPDATE, _CONTINUATION = 0x0, 0x1, 0x8, 0x9
_NOT_CONTROL = frozenset({_DATA, _HEADERS, _WINDOW_UPDATE, _CONTINUATION})
"""Types of frames without a rate limit. Clients send a WINDOW_UPDATE for every part they read."""
_END_STREAM, _END_HEADERS = 0x1, 0x4


class ControlRate:
    """A token bucket for frames that cause work but carry no data."""

    __slots__ = ("_at", "_left")

    def __init__(self, now: float) -> None:
        self._left = float(_BURST)
        self._at = now

    def allows(self, now: float) -> bool:
        """Count a control frame. Return False if there are too many."""
        self._left = min(_BURST, self._left + (now - self._at) * _PER_S) - 1
        self._at = now
        return self._left >= 0


class FrameLimitExceeded(Exception):
    """A client exceeded a limit; `code` is HTTP/2's error code for it."""

    def __init__(self, code: ErrorCodes) -> None:
        super().__init__(code.name)
        self.code = code


class FrameScanner:
    """Finds the frames of an HTTP/2 connection in received data, and checks their headers.

    The data begins with the client's preface. `max_block` limits the header block of a request,
    which `h2` buffers until the last CONTINUATION frame, in compressed bytes.
    """

    def __init__(self, max_frame: int, max_block: int, now: float) -> None:
        self._max_frame = max_frame
        self._max_block = max_block
        self._rate = ControlRate(now)
        self._header = b""
        """The frame header that is being received."""
        self._received = 0
        self._missing = _PREFACE
        """Bytes of the frame being received that have and have not arrived."""
        self._block = 0
        self._weight = 1
        """Number of frames as which the last one counts: a request takes about 1 ms."""

    @property
    def unfinished(self) -> int:
        """At most how many bytes of an unfinished frame and header block `h2` buffers."""
        return len(self._header) + self._received + self._block

    def split(self, data: bytes, now: float) -> Iterator[bytes]:
        """Yield the data in pieces of at most one request or `FRAMES_IN_A_ROW` other frames.

        Raises `FrameLimitExceeded` instead of yielding a piece with a forbidden frame.
        """
        start = at = frames = 0
        while True:
            at = self._skip_payload(data, at)
            if at == len(data):
                break
            at = self._take_header(data, at, now)
            frames += self._weight
            if frames >= FRAMES_IN_A_ROW:
                yield data[start:at]
                start, frames = at, 0
        if start < at:
            yield data[start:at] if start else data

    def _skip_payload(self, data: bytes, at: int) -> int:
        step = min(self._missing, len(data) - at)
        self._missing -= step
        self._received = self._received + step if self._missing else 0
        return at + step

    def _take_header(self, data: bytes, at: int, now: float) -> int:
        end = at + _HEADER - len(self._header)
        self._header += data[at:end]
        if len(self._header) == _HEADER:
            self._check(self._header, now)
            self._received = _HEADER if self._missing else 0
            self._header = b""
        return min(end, len(data))

    def _check(self, header: bytes, now: float) -> None:
        length, kind, flags = int.from_bytes(header[:3], "big"), header[3], header[4]
        if length > self._max_frame:
            raise FrameLimitExceeded(ErrorCodes.FRAME_SIZE_ERROR)
        self._missing = length
        self._weight = 1
        if kind in {_HEADERS, _CONTINUATION}:
            self._block = length if kind == _HEADERS else self._block + length
            if self._block > self._max_block:
                raise FrameLimitExceeded(ErrorCodes.ENHANCE_YOUR_CALM)
            if flags & _END_HEADERS:
                self._block = 0
                self._weight = FRAMES_IN_A_ROW
        empty_data = kind == _DATA and not length and not flags & _END_STREAM
        if (empty_data or kind not in _NOT_CONTROL) and not self._rate.allows(now):
            raise FrameLimitExceeded(ErrorCodes.ENHANCE_YOUR_CALM)
