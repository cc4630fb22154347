"""Refuses a connection with 503 when too many are open."""

from contextlib import suppress

import trio

from web.server.request_id import header_of, state_with_id
from web.server.setup import SAFETY

_TIMEOUT_S = 1.0
"""Seconds that the client has to send a request and read the response."""
_BODY = (
    b'{"error":{"message":"Too many connections are open.",'
    b'"type":"server_error","param":null,"code":"overloaded"}}'
)
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(_BODY)),
    (b"retry-after", b"1"),
    (b"connection", b"close"),
    *SAFETY,
]


async def refuse(stream: trio.abc.HalfCloseableStream) -> None:
    """Answer the first request with 503, if it arrives within `_TIMEOUT_S`, and close."""
    with trio.move_on_after(_TIMEOUT_S):
        with suppress(trio.BrokenResourceError):
            if await stream.receive_some(64 * 1024):
                await stream.send_all(_answer())
    await trio.aclose_forcefully(stream)


def _answer() -> bytes:
    headers = [*_HEADERS, header_of(state_with_id(()))]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 503 Service Unavailable\r\n%b\r\n%b" % (lines, _BODY)
