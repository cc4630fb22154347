"""Request ids: the client's `X-Request-Id` if it is valid, else a generated id."""

import re
from collections.abc import Iterable
from typing import cast

from hypercorn.typing import ConnectionState

from store.records.ids import new_id

_HEADER = b"x-request-id"
_KEY = "request_id"
_VALID = re.compile(rb"[!-~]{1,128}")


def state_with_id(headers: Iterable[tuple[bytes, bytes]]) -> ConnectionState:
    """Return the `state` of a request's ASGI scope, which holds the request's id.

    That is the first `X-Request-Id` if it is 1 to 128 visible ASCII characters, else a new id.
    """
    given = next((value for name, value in headers if name == _HEADER), b"")
    id = given.decode("ascii") if _VALID.fullmatch(given) else new_id("req_")
    return ConnectionState({_KEY: id})


def header_of(state: ConnectionState) -> tuple[bytes, bytes]:
    """Return the response's `X-Request-Id` header."""
    return _HEADER, cast("str", state[_KEY]).encode("ascii")


def id_in(scope: object) -> str:
    """Return the id in a request's scope; a new id if another server made the scope."""
    state = cast("dict[str, dict[str, str]]", scope).get("state") or {}
    return state.get(_KEY) or new_id("req_")
