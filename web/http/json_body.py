"""Decodes JSON request bodies; large ones in a thread, so that they do not block the event loop."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec
import trio

from actors.runtime.json_pieces import decoded, has_too_many_values
from actors.runtime.offload import MAX_VALUES, Cost, is_much
from actors.turn.model_call import JSON
from web.http.api_error import ApiError, invalid

READERS = 2
"""Number of threads for larger bodies. More do not help, because they share the GIL."""

_CUSHION = 200
"""Stack depth reserved while decoding, so that a value nested just deeply enough to be decoded in a
thread can be encoded again from a deeper stack."""

T = TypeVar("T")

_NO_OBJECT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_decode = msgspec.json.Decoder(dict[str, JSON]).decode


async def read_json(
    body: bytes | str,
    read: Callable[[dict[str, JSON]], T],
    threads: trio.CapacityLimiter,
    name: str = "body",
) -> T:
    """Return `read` applied to the JSON object in `body`. Raises `ApiError` (400).

    Bodies over 32 KiB are read in one of `threads`; a body with over `MAX_VALUES` values is a 413.
    Errors call the body `name`.
    """
    if not is_much(len(body), Cost.BODY):
        return read(json_object(body, name))
    held = [body]
    del body  # freed once it is decoded
    pieces = partial(_deeper, _CUSHION, partial(_by_pieces, held, name))
    return await trio.to_thread.run_sync(lambda: read(pieces()), limiter=threads)


def json_object(body: bytes | str, name: str = "body") -> dict[str, JSON]:
    """Return the JSON object in `body`. Raises `ApiError` (400) if it is not one."""
    try:
        return _decode(body)
    except _NO_OBJECT as error:
        raise _no_object(error, name) from None


def _deeper(levels: int, function: Callable[[], T]) -> T:
    """Call `function` with `levels` more frames on the stack."""
    return _deeper(levels - 1, function) if levels else function()


def _by_pieces(held: list[bytes | str], name: str) -> dict[str, JSON]:
    body = held.pop()
    if has_too_many_values(body):
        text = (
            f"The {name} has more than {MAX_VALUES} JSON values, counting members of objects four"
            " times. Send less in one request."
        )
        raise invalid(text, code="too_many_values", status=413)
    try:
        return msgspec.convert(decoded(body), dict[str, JSON])
    except _NO_OBJECT as error:
        raise _no_object(error, name) from None


def _no_object(error: Exception, name: str) -> ApiError:
    if isinstance(error, msgspec.ValidationError):
        if "out of range" in str(error):
            return invalid(f"The {name} contains a number that is out of range.")
        return invalid(f"The {name} must be a JSON object.")
    if isinstance(error, RecursionError):
        return invalid(f"The {name} is nested too deeply.")
    return invalid(f"The {name} is not valid JSON: {error}")
