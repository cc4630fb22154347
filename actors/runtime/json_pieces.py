"""Encode and decode large JSON in pieces, so that the GIL is released in between. Pure."""

import msgspec
from msgspec import Raw, Struct

from actors.runtime.offload import MAX_VALUES, Cost, is_large, is_much

_DEPTH = 5
"""Nesting depth of a request or an answer down to message parts, tools and logprobs."""

_WINDOW = 128 * 1024
"""Number of bytes or characters that are searched before other threads get to run."""

_decode = msgspec.json.Decoder().decode
_split = msgspec.json.Decoder(dict[str, Raw] | list[Raw] | str | int | float | bool | None).decode


def encoded(document: object) -> bytes:
    """Encode the document as JSON, piece by piece if it is large."""
    return msgspec.json.encode(_in_pieces(document, _DEPTH) if is_large(document) else document)


def decoded(data: bytes | str | Raw, depth: int = _DEPTH) -> object:
    """Decode JSON, piece by piece if it is large.

    Raises `msgspec.DecodeError`, `UnicodeDecodeError` and `RecursionError`.
    """
    if not depth or not is_much(_length(data), Cost.BODY):
        return _decode(data)
    pieces = _split(data)
    if isinstance(pieces, dict):
        return {name: decoded(piece, depth - 1) for name, piece in pieces.items()}
    if isinstance(pieces, list):
        return [decoded(piece, depth - 1) for piece in pieces]
    return pieces


def has_too_many_values(data: bytes | str) -> bool:
    """Return True if JSON has more than `MAX_VALUES` values, without decoding it.

    Counts commas, brackets and colons outside strings; invalid JSON gives any result.
    """
    left, in_string, cut = MAX_VALUES, False, b""
    for start in range(0, len(data), _WINDOW):
        part = data[start : start + _WINDOW]
        window = cut + (part.encode() if isinstance(part, str) else part)
        backslashes = len(window) - len(window.rstrip(b"\\"))
        cut = b"\\" * (backslashes % 2)  # it escapes the first character of the next window
        window = window[: len(window) - len(cut)]
        pieces = window.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(pieces[in_string::2])
        in_string ^= len(pieces) % 2 == 0
        left -= outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        left -= 3 * outside.count(b":")
        if left < 0:
            return True
    return False


def _length(data: bytes | str | Raw) -> int:
    return memoryview(data).nbytes if isinstance(data, Raw) else len(data)


def _in_pieces(value: object, depth: int) -> object:
    """Return the value with the items of its lists encoded already."""
    if isinstance(value, Struct):
        value = msgspec.to_builtins(value)
    if depth and isinstance(value, dict):
        return {name: _in_pieces(one, depth - 1) for name, one in value.items()}
    if depth and isinstance(value, list):
        return [Raw(msgspec.json.encode(_in_pieces(one, depth - 1))) for one in value]
    return value
