"""Reads the JSON of a request's body, without keeping everybody waiting for a large one."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import msgspec
import trio

from actors.providers.base import JSON
from web.errors import ApiError, invalid

AT_ONCE = 32_768
"""Bytes that are read where they arrive: however they are filled, it takes under 5 ms."""
READERS = 2
"""Threads that read larger bodies; as they take turns with the event loop, more are no help."""

_CUSHION = 200
"""Levels of the stack that are given away: what a thread with its short stack can just read has to
be written again further down another one."""

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
    """What `read` makes of the object in `body`; both raise `ApiError` (400).

    A body of over 32 KiB is read in one of `threads`. Errors call it `name`.
    """
    if len(body) <= AT_ONCE:
        return read(json_object(body, name))
    pieces = partial(_deeper, _CUSHION, partial(_by_pieces, body, name))
    return await trio.to_thread.run_sync(lambda: read(pieces()), limiter=threads)


def json_object(body: bytes | str, name: str = "body") -> dict[str, JSON]:
    """The object in `body`; raises `ApiError` (400) where there is none."""
    try:
        return _decode(body)
    except _NO_OBJECT as error:
        raise _no_object(error, name) from None


def json_objects(data: str) -> Iterable[dict[str, JSON]]:
    """The objects of the JSON array in `data`; raises `msgspec.DecodeError` for anything else.

    Where they are large, each is decoded when its turn comes, for the reason of `_by_pieces`.
    """
    return _decode_list(data) if len(data) <= AT_ONCE else map(_decode, _cut_list(data))


def _deeper(levels: int, function: Callable[[], T]) -> T:
    """Call `function` with that much less of the stack left."""
    return _deeper(levels - 1, function) if levels else function()


def _by_pieces(body: bytes | str, name: str) -> dict[str, JSON]:
    """The same: a decoder keeps the interpreter to itself, so it gets a value at a time."""
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
            return invalid(f"The {name} has a number in it that is out of range.")
        return invalid(f"The {name} must be a JSON object.")
    if isinstance(error, RecursionError):
        return invalid(f"The {name} is nested too deeply.")
    return invalid(f"The {name} is not valid JSON: {error}")
