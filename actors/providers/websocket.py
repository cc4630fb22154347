"""One WebSocket connection as a client, by trio-websocket, with a task that holds it.

trio-websocket reads in a task of its own, which needs a nursery for as long as the connection
lives, while whoever uses a `Socket` wants to drop it at once, without waiting, from anywhere. So
a task of the provider's nursery holds each socket: closing it closes the kernel's socket before
it returns, and cancels that task. Connecting, TLS and the bytes are `actors.providers.wire`'s.

trio-websocket waits for ever where the server ends the connection instead of answering the
handshake, loses the status of a refusal whose body has no length, and reads a body without bound.
So it is given the response only where that is an upgrade; any other is read here.
"""

import h11
import httpx
import trio
from msgspec import Struct
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream
from wsproto.utilities import ProtocolError

from actors.providers.body import body_for
from actors.providers.response import ResponseBody, beginning
from actors.providers.sse import MAX_EVENT
from actors.providers.wire import Disconnected, Wire

_MAX_HEAD = 65536
_HEAD_END = b"\r\n\r\n"
_UPGRADED = b"HTTP/1.1 101"
_GOODBYE_S = 1.0
"""How long the server has to answer the closing handshake of a socket that is not needed."""


class Refused(Exception):
    """The server answered the handshake with another status than 101; `body` is its beginning."""

    def __init__(self, response: httpx.Response, body: bytes) -> None:
        super().__init__(response.status_code)
        self.response = response
        self.body = body


class SocketClosed(Exception):
    """No message will come any more; the text says why, in the server's words."""


class Upgrade(Struct, frozen=True):
    """What the handshake asks for."""

    host: str
    """With the port, if it is not the scheme's: the `Host` header."""
    target: str
    headers: tuple[tuple[str, str], ...] = ()


class Socket:
    """A WebSocket over a wire, which it owns."""

    def __init__(self, wire: Wire) -> None:
        self._line = _Line(wire)
        self._scope = trio.CancelScope()
        self._connection: WebSocketConnection | None = None
        self._released = trio.Event()
        self._over = trio.Event()
        self._problem: Exception | None = None

    async def hold(  # noqa: ASYNC128 (it passes task_status on)
        self, upgrade: Upgrade, *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Shake hands, then hold the socket until it is closed, released or at its end.

        Raises `Refused` and `httpx.TransportError`, but nothing once it has started.
        """
        try:
            with self._scope:
                await self._converse(upgrade, task_status)
        except* Exception as problems:
            self._problem = _first(problems)
        finally:
            self._line.close()
            self._over.set()
        if self._connection is None:
            self._raise_problem()

    def _raise_problem(self) -> None:
        if isinstance(self._problem, ProtocolError | h11.ProtocolError):
            raise httpx.RemoteProtocolError(str(self._problem)) from self._problem
        if self._problem is not None:
            raise self._problem

    async def _converse(self, upgrade: Upgrade, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._say_goodbye)
            async with trio.open_nursery() as reading:
                self._connection = await wrap_client_stream(
                    reading,
                    self._line,  # type: ignore[arg-type]  # any stream will do, its docs say
                    upgrade.host,
                    upgrade.target,
                    extra_headers=[(n.encode(), v.encode()) for n, v in upgrade.headers],
                    max_message_size=MAX_EVENT,
                    receive_buffer_size=None,
                )
                self._line.accepted = True
                task_status.started()
            nursery.cancel_scope.cancel()

    async def _say_goodbye(self) -> None:
        await self._released.wait()
        if self._connection is not None:
            with trio.move_on_after(_GOODBYE_S):
                await self._connection.aclose()
        self.close()

    async def send(self, message: bytes) -> None:
        """Send a text message. A server that does not take it will be heard when reading."""
        try:
            await self._open.send_message(message.decode())
        except ConnectionClosed:
            return

    async def receive(self) -> bytes:
        """The next message. Raises `SocketClosed`."""
        try:
            message = await self._open.get_message()
            return message.encode() if isinstance(message, str) else message
        except ConnectionClosed as error:
            closed = error
        if closed.reason is None:  # trio-websocket has given up: why is known when it has ended
            await self._over.wait()
        raise SocketClosed(_why(closed)) from self._problem or closed

    @property
    def _open(self) -> WebSocketConnection:
        if self._connection is None:
            raise RuntimeError("this socket is not open yet")
        return self._connection

    def release(self) -> None:
        """Done with it: it is closed in good order, in the background."""
        self._released.set()

    def close(self) -> None:
        """Close it before returning; closing twice is harmless."""
        self._line.close()
        self._scope.cancel()


class _Line(trio.abc.Stream):
    """A wire as trio-websocket wants it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._answered = False
        self.accepted = False
        """The handshake is done."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._wire.send(bytes(data))
        except httpx.WriteError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What comes next. Raises `Refused` and `httpx.TransportError` before the upgrade."""
        if not self._answered:
            self._answered = True
            return await _upgrade_response(self._wire)
        try:
            return await self._wire.receive()
        except httpx.ReadError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def aclose(self) -> None:
        """Close. Raises `httpx.RemoteProtocolError` where that is trio-websocket's last word."""
        self.close()
        if not self.accepted:
            raise httpx.RemoteProtocolError("the handshake's answer is not valid")
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self._wire.close()


async def _upgrade_response(wire: Wire) -> bytes:
    """The head of the handshake's response, and what came with it, if it is an upgrade.

    Raises `Refused` and `httpx.TransportError`.
    """
    read = b""
    while _HEAD_END not in read and len(read) < _MAX_HEAD:
        data = await wire.receive()
        if not data:
            break
        read += data
    if _HEAD_END in read and read.startswith(_UPGRADED):
        return read
    raise await _refusal(wire, read)


async def _refusal(wire: Wire, read: bytes) -> Refused:
    if not read:
        raise Disconnected("connection closed without an answer")
    head, rest = _head(read)
    body = body_for("GET", head.status_code, head.headers)
    content = ResponseBody(wire, body, rest, lambda keep: wire.close(), read_s=None)
    response = httpx.Response(head.status_code, headers=head.headers.raw_items())
    return Refused(response, await beginning(content))


def _head(read: bytes) -> tuple[h11.Response, bytes]:
    """The head of a response that is no upgrade, and what came behind it."""
    protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    protocol.send(h11.Request(method="GET", target="/", headers=[("host", "")]))
    protocol.send(h11.EndOfMessage())
    try:
        protocol.receive_data(read)
        event = protocol.next_event()
    except h11.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    if not isinstance(event, h11.Response):
        raise httpx.RemoteProtocolError("the handshake's answer is not valid")
    return event, protocol.trailing_data[0]


def _why(closed: ConnectionClosed) -> str:
    if closed.reason is None:
        return "the connection to the provider broke"
    words = f" ({closed.reason.reason})" if closed.reason.reason else ""
    return f"the provider closed the connection with code {closed.reason.code}{words}"


def _first(problems: ExceptionGroup[Exception]) -> Exception:
    """One of what went wrong in the tasks of a socket, of which only the reader can fail."""
    found: Exception = problems
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found
