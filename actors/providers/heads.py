"""Request and response heads, by h11; the bodies of responses are `actors.providers.body`'s."""

import h11
import httpx

from actors.providers.wire import Disconnected, Wire


def request_bytes(protocol: h11.Connection, request: httpx.Request, content: bytes) -> bytes:
    """The whole request. Raises `httpx.LocalProtocolError`."""
    try:
        head = h11.Request(
            method=request.method, target=request.url.raw_path, headers=request.headers.raw
        )
        return b"".join(
            (
                protocol.send(head),
                protocol.send(h11.Data(data=content)),
                protocol.send(h11.EndOfMessage()),
            )
        )
    except h11.LocalProtocolError:
        # h11's message quotes the header that it refuses, which may be a key
        raise httpx.LocalProtocolError("the request is not valid HTTP") from None


async def receive_head(wire: Wire, protocol: h11.Connection) -> h11.Response:
    """The head of the final response; interim ones (1xx) are passed over."""
    protocol.receive_data(await _first_bytes(wire))
    while True:
        try:
            event = protocol.next_event()
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        if isinstance(event, h11.Response):
            return event
        if event is h11.NEED_DATA:
            protocol.receive_data(await wire.receive())
        elif not isinstance(event, h11.InformationalResponse):
            raise httpx.RemoteProtocolError("the server wants to switch protocols")


async def _first_bytes(wire: Wire) -> bytes:
    try:
        data = await wire.receive()
    except httpx.ReadError as error:
        raise Disconnected(f"connection lost before an answer: {error}") from error
    if not data:
        raise Disconnected("connection closed without an answer")
    return data


def keeps_alive(request: httpx.Request, head: h11.Response) -> bool:
    """RFC 9112 §9.3; HTTP/1.0 peers are not kept, nor those that frame a body in two ways."""
    names = [name for name, _ in head.headers]
    if head.http_version < b"1.1" or {b"transfer-encoding", b"content-length"} <= set(names):
        return False
    options = [value for name, value in head.headers if name == b"connection"]
    options.append(request.headers.get("connection", "").encode())
    return b"close" not in {
        option.strip().lower() for value in options for option in value.split(b",")
    }
