"""The id of a request: the client's, if it gave a sane one, else one of ours."""

import re
from collections.abc import Iterable
from typing import cast

from hypercorn.typing import ConnectionState

from store.ids import new_id

_HEADER = b"x-request-id"
_KEY = "request_id"
_SANE = re.compile(rb"[!-~]{1,128}")


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The first `X-Request-Id` if it is 1 to 128 visible ASCII characters, else a new id."""
    for name, value in headers:
        if name == _HEADER:
            if _SANE.fullmatch(value):
                return value.decode("ascii")
            break
    return new_id("req_")


def state_with_id(headers: Iterable[tuple[bytes, bytes]]) -> ConnectionState:
    """The `state` of a request's ASGI scope, in which its id stands."""
    return ConnectionState({_KEY: request_id(headers)})


def header_of(state: ConnectionState) -> tuple[bytes, bytes]:
    """The header of the response."""
    return _HEADER, cast("str", state[_KEY]).encode("ascii")


def id_in(scope: object) -> str:
    """The id in the scope of a request; of one that another server made, a new id."""
    state = cast("dict[str, dict[str, str]]", scope).get("state") or {}
    return state.get(_KEY) or new_id("req_")
