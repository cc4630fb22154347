"""Framing of spool records, so that records torn by a crash are recognised.

A frame is the payload's length and CRC-32, a sequence number, and the payload. The number rises
by one from frame to frame, so that frames left over from an earlier use of the file are not read.
"""

import struct
import zlib

_HEAD = struct.Struct(">IIQ")
HEAD_SIZE = _HEAD.size
END = bytes(HEAD_SIZE)
"""The end mark: zeros, as in the unused part of an allocated file."""


def encode(number: int, payload: bytes) -> bytes:
    """Frame a payload. `number` must be at least 1, because 0 marks the end."""
    return _HEAD.pack(len(payload), _checksum(number, payload), number) + payload


def size_of(head: bytes) -> int:
    """Return the size in bytes of the frame with this head, without checking the frame."""
    length: int = _HEAD.unpack(head)[0] if len(head) == _HEAD.size else 0
    return _HEAD.size + length


def decode(data: bytes, number: int | None = None) -> tuple[int, bytes] | None:
    """Read the number and payload of the frame at the start of `data`.

    None at the end mark, for a torn frame, or if the frame's number is not `number`.
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
