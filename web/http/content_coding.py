"""Decodes compressed request bodies (`Content-Encoding`) in small pieces.

The caller counts the pieces, so that a small body cannot become a large one unnoticed, and may run
other tasks between them. Pure. Sources: RFC 9110 §8.4, RFC 1952 (gzip), RFC 8878 (zstd).
"""

import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 64 * 1024
"""Maximum number of bytes that are decoded at once, which takes less than a millisecond."""
_GZIP_FORMAT = zlib.MAX_WBITS | 16
_BEHIND = "there is data after the end"
_WINDOW_LOG = 23
"""Largest window of zstd, 8 MiB, which RFC 9659 sets for HTTP; a frame could demand 2 GiB."""


class MalformedBody(Exception):
    """The body is not what its `Content-Encoding` says."""


class _Decoder(Protocol):
    """A decoder of one member or frame."""

    @property
    def ended(self) -> bool:
        """True if the end has been decoded."""

    @property
    def rest(self) -> bytes:
        """Data behind the end."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` adds, in pieces of at most `PIECE` bytes."""


class _Gzip:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP_FORMAT)

    @property
    def ended(self) -> bool:
        return self._inflate.eof

    @property
    def rest(self) -> bytes:
        return self._inflate.unused_data

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data and not self._inflate.eof:  # the tail is kept at the end
            yield self._inflate.decompress(data, PIECE)
            data = self._inflate.unconsumed_tail


class _Zstd:
    def __init__(self) -> None:
        options = {int(zstd.DecompressionParameter.window_log_max): _WINDOW_LOG}
        self._frame = zstd.ZstdDecompressor(options=options)

    @property
    def ended(self) -> bool:
        return self._frame.eof

    @property
    def rest(self) -> bytes:
        return self._frame.unused_data

    def decode(self, data: bytes) -> Iterator[bytes]:
        yield self._frame.decompress(data, PIECE)
        while not (self._frame.needs_input or self._frame.eof):
            yield self._frame.decompress(b"", PIECE)


_DECODERS: Mapping[str, type[_Gzip] | type[_Zstd]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,  # RFC 9110 §8.4.1.3
    "zstd": _Zstd,
}
CODINGS = "gzip, zstd"
"""The codings, as in an `Accept-Encoding` header."""


def is_known(coding: str) -> bool:
    """Return True if bodies with this coding can be decoded."""
    return coding in _DECODERS


def decoded_pieces(body: bytes, coding: str) -> Iterator[bytes]:
    """Yield a decoded body, not empty, in pieces of at most `PIECE` bytes. Raises `MalformedBody`.

    The body must be a single gzip member or zstd frame: clients send no others, and a body of a
    million empty ones would take long to decode.
    """
    decoder: _Decoder = _DECODERS[coding]()
    try:
        # The decoders copy what they have not used yet, so they get little at a time.
        for start in range(0, len(body), PIECE):
            if decoder.ended:
                raise MalformedBody(_BEHIND)
            yield from decoder.decode(body[start : start + PIECE])
    except (zlib.error, zstd.ZstdError) as error:
        raise MalformedBody(str(error)) from None
    if not decoder.ended:
        raise MalformedBody("the end is missing")
    if decoder.rest:
        raise MalformedBody(_BEHIND)
