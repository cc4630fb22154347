"""What a client hears when there are too many connections."""

from contextlib import suppress

import trio

from web.server.request_id import header_of, state_with_id
from web.server.setup import SAFETY

_PATIENCE_S = 1.0
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
    """Answer 503 to what the client asks first, if it asks soon, and close."""
    with trio.move_on_after(_PATIENCE_S):
        with suppress(trio.BrokenResourceError):
            if await stream.receive_some(64 * 1024):
                await stream.send_all(_answer())
    await trio.aclose_forcefully(stream)


def _answer() -> bytes:
    headers = [*_HEADERS, header_of(state_with_id(()))]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 503 Service Unavailable\r\n%b\r\n%b" % (lines, _BODY)
