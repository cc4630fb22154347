"""Clients for an ASGI app in the same process that really stream, and really leave."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType

import httpx
import trio
from quart_trio import QuartTrio
from quart_trio.testing import TrioClient
from quart_trio.testing.connections import TestHTTPConnection

Message = dict[str, object]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


class Exchange:
    """One request as the app sees it: the other end of `receive` and `send`."""

    def __init__(self, scope: Message, body: bytes) -> None:
        self.scope = scope
        self.head: Message = {}
        self.started = trio.Event()
        self.done = trio.Event()
        self.gone = trio.Event()
        self.error: BaseException | None = None
        self._body: bytes | None = body
        self._send, self.parts = trio.open_memory_channel[bytes](0)

    async def run(self, app: App) -> None:
        """Run the app; its error is kept, like a server would log it."""
        try:
            await app(self.scope, self._receive, self._take)
        except Exception as error:
            self.error = error
        finally:
            self._send.close()
            self.started.set()
            self.done.set()

    def leave(self) -> None:
        """Disconnect, as far as the app can tell."""
        self.gone.set()
        self.parts.close()

    async def _receive(self) -> Message:
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.head = message
            self.started.set()
            return
        part = message.get("body", b"")
        assert isinstance(part, bytes)
        if part:
            await self._put(part)
        if not message.get("more_body"):
            self._send.close()
            self.gone.set()
        await trio.lowlevel.checkpoint()

    async def _put(self, part: bytes) -> None:
        try:
            await self._send.send(part)
        except trio.BrokenResourceError:
            await trio.sleep_forever()  # the client has left; only a cancellation gets us out


class StreamingTransport(httpx.AsyncBaseTransport):
    """httpx on an ASGI app: parts arrive as they are sent, closing early is a disconnect.

    `exchanges` keeps every request, so that a test can wait for its `done` and look at `error`.
    """

    def __init__(self, app: App, nursery: trio.Nursery) -> None:
        self._app = app
        self._nursery = nursery
        self.exchanges: list[Exchange] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Start the request and return when the app has sent the head."""
        exchange = Exchange(_scope(request), await request.aread())
        self.exchanges.append(exchange)
        self._nursery.start_soon(exchange.run, self._app)
        try:
            await exchange.started.wait()
        except trio.Cancelled:
            exchange.leave()
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
        async for part in self._exchange.parts:
            yield part
        await self._exchange.done.wait()
        if self._exchange.error is not None:
            raise httpx.RemoteProtocolError("the app cut the response")

    async def aclose(self) -> None:
        self._exchange.leave()


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
        "extensions": {},
    }


@asynccontextmanager
async def streaming_client(
    app: App,
) -> AsyncIterator[tuple[httpx.AsyncClient, StreamingTransport]]:
    """A client on `app`; leaving it waits for every request that it started."""
    async with trio.open_nursery() as nursery:
        transport = StreamingTransport(app, nursery)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client, transport
        for exchange in transport.exchanges:
            exchange.leave()


class FixedHTTPConnection(TestHTTPConnection):
    """Quart-Trio's test connection, which hangs on ten parts and after `disconnect`."""

    __test__ = False

    async def __aenter__(self) -> "FixedHTTPConnection":
        self._client_send, self._client_receive = trio.open_memory_channel[bytes | Exception](
            math.inf
        )
        self._nursery_manager = trio.open_nursery()
        nursery = await self._nursery_manager.__aenter__()
        nursery.start_soon(self._run)
        return self

    async def _run(self) -> None:
        with self._client_send:
            await self.app(self.scope, self._asgi_receive, self._asgi_send)  # type: ignore[arg-type]

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await super().__aexit__(exc_type, exc_value, tb)  # type: ignore[arg-type]  # noqa: ASYNC102

    async def disconnect(self) -> None:
        """Leave; doing it twice is harmless."""
        try:
            await super().disconnect()
        except trio.ClosedResourceError:
            return


class FixedClient(TrioClient):
    """Quart-Trio's test client with the fixed connection; set as an app's `test_client_class`."""

    __test__ = False
    http_connection_class = FixedHTTPConnection


def use_fixed_client(app: QuartTrio) -> None:
    """Have `app.test_client()` return a `FixedClient`."""
    app.test_client_class = FixedClient
