"""How the frames of an answer go over a connection: in chunks, or in whatever stands for them."""

from typing import Protocol

from web.simulate.http1 import LAST_CHUNK, chunk, response_head


class Framing(Protocol):
    """How frames go over a connection."""

    def head(self, stream_type: str) -> bytes:
        """What precedes them."""

    def data(self, frames: bytes) -> bytes:
        """Some frames; nothing for none."""

    def half(self, half: bytes) -> bytes:
        """Half a frame where a whole one was promised: the cut is inside of the framing, too."""

    def last(self) -> bytes:
        """What ends an answer."""

    def farewell(self) -> bytes:
        """What ends a stream in good order although the answer is not whole."""


class Chunked:
    """The chunked body of a response."""

    def head(self, stream_type: str) -> bytes:
        headers = [
            ("Content-Type", stream_type),
            ("Cache-Control", "no-cache"),
            ("Transfer-Encoding", "chunked"),
        ]
        return response_head(200, headers)

    def data(self, frames: bytes) -> bytes:
        return chunk(frames)

    def half(self, half: bytes) -> bytes:
        return b"%x\r\n%b" % (2 * len(half), half)

    def last(self) -> bytes:
        return LAST_CHUNK

    def farewell(self) -> bytes:
        return LAST_CHUNK
