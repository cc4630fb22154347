"""WebSocket client connection: trio-websocket, run by a task of the provider's nursery.

trio-websocket reads in its own task, which needs a nursery for the life of the connection, while
users of a `Socket` must be able to close it at once, without waiting, from any task. So a task of
the provider's nursery runs each socket; `Socket.close` closes the kernel's socket before it returns
and cancels that task. `actors.providers.http.connection` connects, does TLS and transfers bytes.

trio-websocket waits forever if the server closes the connection instead of answering the handshake,
loses the status of a rejection whose body has no length, and reads a body without limit. So it only
sees the response if that is an upgrade; any other response is read here.
"""

from collections.abc import Callable, Iterable

import h11
import httpx
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream
from wsproto.utilities import ProtocolError

from actors.ports import ignore
from actors.providers.http.body import body_for
from actors.providers.http.connection import SocketClosed, Wire
from actors.providers.http.heads import MAX_HEAD, receive_head
from actors.providers.http.response import ResponseBody, read_beginning
from actors.providers.redaction import Scrub
from actors.providers.sse import MAX_EVENT

Headers = Iterable[tuple[str, str]]

_HEAD_END = b"\r\n\r\n"
_UPGRADED = b"HTTP/1.1 101"
_CLOSE_HANDSHAKE_S = 1.0
"""Seconds that the server has to answer the closing handshake of a released socket."""


class Refused(Exception):
    """Raised if the handshake's status isn't 101; `body` is the beginning of the response body."""

    def __init__(self, response: httpx.Response, body: bytes) -> None:
        super().__init__(response.status_code)
        self.response = response
        self.body = body


class Socket:
    """A WebSocket over a wire, which the socket owns and closes.

    `url` and `headers` are those of the handshake. `scrub` is applied to the server's reason for
    closing the socket. `alive` is called at every read, for pings don't come as messages.
    """

    def __init__(
        self,
        wire: Wire,
        url: httpx.URL,
        headers: Headers,
        scrub: Scrub,
        alive: Callable[[], None] = ignore,
    ) -> None:
        self._url = url
        self._headers = headers
        self._scrub = scrub
        self._stream = _WireStream(wire, alive)
        self._scope = trio.CancelScope()
        self._connection: WebSocketConnection | None = None
        self._released = trio.Event()
        self._ended = trio.Event()
        self._error: Exception | None = None

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128 (it passes task_status on)
        """Do the handshake, then run the socket until it is closed, released or ended by the peer.

        Raises `Refused` and `httpx.TransportError` during the handshake and nothing afterwards.
        """
        try:
            with self._scope:
                await self._run_connection(task_status)
        except* Exception as errors:
            self._error = _first(errors)
        finally:
            self._stream.close()
            self._ended.set()
        if self._connection is None:
            self._raise_error()

    def _raise_error(self) -> None:
        if isinstance(self._error, ProtocolError | h11.ProtocolError):
            raise httpx.RemoteProtocolError(str(self._error)) from self._error
        if self._error is not None:
            raise self._error

    async def _run_connection(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._close_gracefully)
            async with trio.open_nursery() as reading:
                self._connection = await wrap_client_stream(
                    reading,
                    self._stream,  # type: ignore[arg-type]  # any stream will do, its docs say
                    self._url.netloc.decode("ascii"),
                    self._url.raw_path.decode("ascii"),
                    extra_headers=[(n.encode(), v.encode()) for n, v in self._headers],
                    max_message_size=MAX_EVENT,
                    receive_buffer_size=None,  # the wire chooses the size of its reads
                )
                self._stream.accepted = True
                task_status.started()
            nursery.cancel_scope.cancel()

    async def _close_gracefully(self) -> None:
        await self._released.wait()
        if self._connection is not None:
            with trio.move_on_after(_CLOSE_HANDSHAKE_S):
                await self._connection.aclose()
        self.close()

    async def send(self, message: bytes) -> None:
        """Send a text message. If the server has closed, `receive` raises the error."""
        try:
            await self._open.send_message(message.decode())
        except ConnectionClosed:
            return

    async def receive(self) -> bytes:
        """Return the next message. Raises `SocketClosed`."""
        try:
            message = await self._open.get_message()
            return message.encode() if isinstance(message, str) else message
        except ConnectionClosed as error:
            closed = error
        # Without a close frame the cause is an error of the reader task, known once that has ended.
        if closed.reason is None:
            await self._ended.wait()
        raise SocketClosed(self._scrub(_close_text(closed))) from self._error or closed

    @property
    def _open(self) -> WebSocketConnection:
        if self._connection is None:
            raise RuntimeError("this socket is not open yet")
        return self._connection

    def release(self, *, saw_end_marker: bool = False) -> None:
        """Close the socket, with a closing handshake in the background after a complete answer."""
        if saw_end_marker:
            self._released.set()
        else:
            self.close()

    def close(self) -> None:
        """Close the socket before returning; closing twice is harmless."""
        self._stream.close()
        self._scope.cancel()


class _WireStream(trio.abc.Stream):
    """A wire as the `trio.abc.Stream` that trio-websocket requires."""

    def __init__(self, wire: Wire, alive: Callable[[], None]) -> None:
        self._wire = wire
        self._alive = alive
        self._answered = False
        self.accepted = False
        """True once the handshake has succeeded."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._wire.send(bytes(data))
        except httpx.WriteError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive bytes. Raises `Refused` and `httpx.TransportError` before the upgrade."""
        if not self._answered:
            self._answered = True
            return await _upgrade_response(self._wire)
        try:
            data = await self._wire.receive()
        except httpx.ReadError as error:
            raise trio.BrokenResourceError(str(error)) from error
        self._alive()
        return data

    async def aclose(self) -> None:
        """Close the wire. Raises `httpx.RemoteProtocolError` before a successful handshake.

        trio-websocket closes the stream and reports nothing if the handshake's answer is invalid.
        """
        self.close()
        if not self.accepted:
            raise httpx.RemoteProtocolError("the handshake's answer is not valid")
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self._wire.close()


async def _upgrade_response(wire: Wire) -> bytes:
    """Return the head of the handshake's response and any bytes after it, if it is an upgrade.

    Raises `Refused` and `httpx.TransportError` otherwise.
    """
    read = b""
    while _HEAD_END not in read and len(read) < MAX_HEAD and (data := await wire.receive()):
        read += data
    if _HEAD_END in read and read.startswith(_UPGRADED):
        return read
    head = await receive_head(wire, "GET", read)
    body = body_for("GET", head.status, head.headers)
    content = ResponseBody(wire, body, head.rest, lambda keep: wire.close(), read_s=None)
    response = httpx.Response(head.status, headers=head.headers)
    raise Refused(response, await read_beginning(content))


def _close_text(closed: ConnectionClosed) -> str:
    if closed.reason is None:
        return "the connection to the provider broke"
    words = f" ({closed.reason.reason})" if closed.reason.reason else ""
    return f"the provider closed the connection with code {closed.reason.code}{words}"


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    """Return the exception of a socket's tasks; only the reader task can fail."""
    found: Exception = errors
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found
