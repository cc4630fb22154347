"""Decodes JSON request bodies; large ones in a thread, so that they do not block the event loop."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import msgspec
import trio

from actors.turn.model_call import JSON
from web.http.api_error import ApiError, invalid

AT_ONCE = 32_768
"""Maximum size in bytes of a body decoded on the event loop; any content takes under 5 ms."""
READERS = 2
"""Number of threads for larger bodies. More do not help, because they share the GIL."""

_CUSHION = 200
"""Stack depth reserved while decoding, so that a value nested just deeply enough to be decoded in a
thread can be encoded again from a deeper stack."""

T = TypeVar("T")

_NO_OBJECT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_decode = msgspec.json.Decoder(dict[str, JSON]).decode
_decode_list = msgspec.json.Decoder(list[dict[str, JSON]]).decode
_decode_value = msgspec.json.Decoder().decode
_cut_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_cut_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


async def read_json(
    body: bytes | str,
    read: Callable[[dict[str, JSON]], T],
    threads: trio.CapacityLimiter,
    name: str = "body",
) -> T:
    """Return `read` applied to the JSON object in `body`. Raises `ApiError` (400).

    Bodies over 32 KiB are read in one of `threads`. Errors call the body `name`.
    """
    if len(body) <= AT_ONCE:
        return read(json_object(body, name))
    pieces = partial(_deeper, _CUSHION, partial(_by_pieces, body, name))
    return await trio.to_thread.run_sync(lambda: read(pieces()), limiter=threads)


def json_object(body: bytes | str, name: str = "body") -> dict[str, JSON]:
    """Return the JSON object in `body`. Raises `ApiError` (400) if it is not one."""
    try:
        return _decode(body)
    except _NO_OBJECT as error:
        raise _no_object(error, name) from None


def json_objects(data: str) -> Iterable[dict[str, JSON]]:
    """Return the objects of the JSON array in `data`; raises `msgspec.DecodeError` if invalid.

    A large array is decoded lazily, one object at a time, for the same reason as in `_by_pieces`.
    """
    return _decode_list(data) if len(data) <= AT_ONCE else map(_decode, _cut_list(data))


def _deeper(levels: int, function: Callable[[], T]) -> T:
    """Call `function` with `levels` more frames on the stack."""
    return _deeper(levels - 1, function) if levels else function()


def _by_pieces(body: bytes | str, name: str) -> dict[str, JSON]:
    """Decode an object one value at a time, because a decoder call does not release the GIL."""
    try:
        return {key: _value(piece) for key, piece in _cut_object(body).items()}
    except _NO_OBJECT as error:
        raise _no_object(error, name) from None


def _value(piece: msgspec.Raw) -> JSON:
    if bytes(memoryview(piece)[:1]) != b"[":
        return _decode_value(piece)
    return [_decode_value(item) for item in _cut_list(piece)]


def _no_object(error: Exception, name: str) -> ApiError:
    if isinstance(error, msgspec.ValidationError):
        if "out of range" in str(error):
            return invalid(f"The {name} contains a number that is out of range.")
        return invalid(f"The {name} must be a JSON object.")
    if isinstance(error, RecursionError):
        return invalid(f"The {name} is nested too deeply.")
    return invalid(f"The {name} is not valid JSON: {error}")
