"""Framing of the spool: records that can be told from what a crash left half written.

A frame is its payload's length and CRC-32, a number, and the payload. Numbers rise by one from
frame to frame, so that what an earlier use of the file left behind is not taken for more.
"""

import struct
import zlib

_HEAD = struct.Struct(">IIQ")
HEAD_SIZE = _HEAD.size
END = bytes(HEAD_SIZE)
"""What stands where no frame follows, also in a file that was only allocated."""


def encode(number: int, payload: bytes) -> bytes:
    """Frame a payload; `number` is at least 1."""
    return _HEAD.pack(len(payload), _checksum(number, payload), number) + payload


def size_of(head: bytes) -> int:
    """The size of the frame that begins with `head`, if it is one."""
    length: int = _HEAD.unpack(head)[0] if len(head) == _HEAD.size else 0
    return _HEAD.size + length


def decode(data: bytes, number: int | None = None) -> tuple[int, bytes] | None:
    """Read the number and payload of the frame at the start of `data`.

    None at the end, at a torn frame, or at one that has not the given `number`.
    """
    if len(data) < _HEAD.size:
        return None
    length, checksum, found = _HEAD.unpack_from(data)
    payload = data[_HEAD.size : _HEAD.size + length]
    if found == 0 or number not in (None, found):
        return None
    if len(payload) < length or _checksum(found, payload) != checksum:
        return None
    return found, payload


def _checksum(number: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(number.to_bytes(8, "big")))
