"""In-process ASGI clients that stream responses and can disconnect."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import cast

import httpx
import trio
from quart_trio import QuartTrio
from quart_trio.testing import TrioClient
from quart_trio.testing.connections import TestHTTPConnection

from tests.support.receive_budgets import wide_budget
from web.server.receive_queue import RECEIVE_QUEUE, ReceiveQueue

Message = dict[str, object]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Exchange:
    """One request: the server's end of the app's `receive` and `send`."""

    def __init__(self, scope: Message, body: bytes) -> None:
        self.scope = scope
        self.head: Message = {}
        self.started = trio.Event()
        self.done = trio.Event()
        self.error: BaseException | None = None
        self._queue = ReceiveQueue(wide_budget())
        scope["extensions"] = {RECEIVE_QUEUE: self._queue}
        self._body = body
        self._send, self.chunks = trio.open_memory_channel[bytes](0)

    async def run(self, app: App) -> None:
        """Run the app and keep its error, which a server would log."""
        try:
            await self._queue.put({"type": "http.request", "body": self._body, "more_body": False})
            await app(self.scope, cast("Receive", self._queue.get), self._send_message)
        except Exception as error:
            self.error = error
        finally:
            self._send.close()
            self.started.set()
            self.done.set()

    def disconnect(self) -> None:
        """Disconnect the client, as seen by the app."""
        self._queue._end({"type": "http.disconnect"})
        self.chunks.close()

    async def _send_message(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.head = message
            self.started.set()
            return
        chunk = message.get("body", b"")
        assert isinstance(chunk, bytes)
        if chunk:
            await self._send_chunk(chunk)
        if not message.get("more_body"):
            self._send.close()
            self._queue._end({"type": "http.disconnect"})
        await trio.lowlevel.checkpoint()

    async def _send_chunk(self, chunk: bytes) -> None:
        try:
            await self._send.send(chunk)
        except trio.BrokenResourceError:
            # An app that writes to a gone client must be stopped by a cancellation, not an error.
            await trio.sleep_forever()


class StreamingTransport(httpx.AsyncBaseTransport):
    """An httpx transport to an ASGI app: chunks arrive as sent, and closing early disconnects.

    `exchanges` keeps every request, so that a test can wait for its `done` and check its `error`.
    """

    def __init__(self, app: App, nursery: trio.Nursery) -> None:
        self._app = app
        self._nursery = nursery
        self.exchanges: list[Exchange] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Start the request and return once the app has sent the response head."""
        exchange = Exchange(_scope(request), await request.aread())
        self.exchanges.append(exchange)
        self._nursery.start_soon(exchange.run, self._app)
        try:
            await exchange.started.wait()
        except trio.Cancelled:
            exchange.disconnect()
            raise
        if not exchange.head:
            raise httpx.RemoteProtocolError("the app sent no response", request=request)
        status = exchange.head["status"]
        headers = exchange.head["headers"]
        assert isinstance(status, int)
        assert isinstance(headers, list)
        return httpx.Response(status, headers=headers, stream=_Body(exchange))


class _Body(httpx.AsyncByteStream):
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._exchange.chunks:
            yield chunk
        await self._exchange.done.wait()
        if self._exchange.error is not None:
            raise httpx.RemoteProtocolError("the app aborted the response")

    async def aclose(self) -> None:
        self._exchange.disconnect()


def _scope(request: httpx.Request) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


@asynccontextmanager
async def streaming_client(
    app: App,
) -> AsyncIterator[tuple[httpx.AsyncClient, StreamingTransport]]:
    """Yield a client of `app`; at the end, disconnect and wait for every request."""
    async with trio.open_nursery() as nursery:
        transport = StreamingTransport(app, nursery)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client, transport
        for exchange in transport.exchanges:
            exchange.disconnect()


class FixedHTTPConnection(TestHTTPConnection):
    """Quart-Trio's test connection, fixed: it hangs on ten chunks and after `disconnect`."""

    __test__ = False

    async def __aenter__(self) -> "FixedHTTPConnection":
        # The original channel has room for ten chunks, and __aexit__ waits for the app before it
        # reads them, so an app that sends more never ends.
        self._client_send, self._client_receive = trio.open_memory_channel[bytes | Exception](
            math.inf
        )
        self._queue = ReceiveQueue(wide_budget())
        cast("dict[str, object]", self.scope["extensions"])[RECEIVE_QUEUE] = self._queue
        self._nursery_manager = trio.open_nursery()
        nursery = await self._nursery_manager.__aenter__()
        nursery.start_soon(self._run)
        return self

    async def _run(self) -> None:
        # The original never closes the channel, so reading up to its end never returns.
        with self._client_send:
            await self.app(self.scope, self._queue.get, self._asgi_send)  # type: ignore[arg-type]

    async def send(self, data: bytes) -> None:
        """Send a part of the body."""
        await self._queue.put({"type": "http.request", "body": data, "more_body": True})

    async def send_complete(self) -> None:
        """Send the end of the body."""
        await self._queue.put({"type": "http.request", "body": b"", "more_body": False})

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await super().__aexit__(exc_type, exc_value, tb)  # type: ignore[arg-type]  # noqa: ASYNC102

    async def disconnect(self) -> None:
        """Disconnect; a second call does nothing."""
        await self._queue.put({"type": "http.disconnect"})


class FixedClient(TrioClient):
    """Quart-Trio's test client with the fixed connection, for an app's `test_client_class`."""

    __test__ = False
    http_connection_class = FixedHTTPConnection


def use_fixed_client(app: QuartTrio) -> None:
    """Make `app.test_client()` return a `FixedClient`."""
    app.test_client_class = FixedClient
