"""Framing of an answer on a connection: chunked HTTP here, WebSocket in `websocket_frames`."""

from typing import Protocol

from web.simulate.http1 import LAST_CHUNK, chunk, response_head


class Framing(Protocol):
    """A framing of an answer's frames."""

    def head(self, stream_type: str) -> bytes:
        """Return the bytes before the first frame."""

    def data(self, frames: bytes) -> bytes:
        """Return the framed data; empty if there are no frames."""

    def cut_short(self, half: bytes) -> bytes:
        """Return framed data that announces twice its length, so that the framing is cut too."""

    def last(self) -> bytes:
        """Return the end of a complete answer."""

    def end_early(self) -> bytes:
        """Return the regular end of a stream whose answer isn't complete."""


class ChunkedFraming:
    """The chunked body of an HTTP response."""

    def head(self, stream_type: str) -> bytes:
        headers = [
            ("Content-Type", stream_type),
            ("Cache-Control", "no-cache"),
            ("Transfer-Encoding", "chunked"),
        ]
        return response_head(200, headers)

    def data(self, frames: bytes) -> bytes:
        return chunk(frames)

    def cut_short(self, half: bytes) -> bytes:
        return b"%x\r\n%b" % (2 * len(half), half)

    def last(self) -> bytes:
        return LAST_CHUNK

    def end_early(self) -> bytes:
        return LAST_CHUNK
