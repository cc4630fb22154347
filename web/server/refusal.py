"""What a client hears when there are too many connections."""

from contextlib import suppress

import trio

_PATIENCE_S = 1.0
_BODY = (
    b'{"error":{"message":"Too many connections are open.",'
    b'"type":"server_error","param":null,"code":"overloaded"}}'
)
_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"content-type: application/json\r\n"
    b"content-length: %d\r\n"
    b"retry-after: 1\r\n"
    b"connection: close\r\n\r\n%b" % (len(_BODY), _BODY)
)


async def refuse(stream: trio.abc.HalfCloseableStream) -> None:
    """Answer 503 to what the client asks first, if it asks soon, and close."""
    with trio.move_on_after(_PATIENCE_S):
        with suppress(trio.BrokenResourceError):
            if await stream.receive_some(64 * 1024):
                await stream.send_all(_ANSWER)
    await trio.aclose_forcefully(stream)
