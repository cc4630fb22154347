"""Upstream HTTP transport on real sockets, against a small server in the same process."""

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest
import trio
import trio.testing
import trustme

from actors.ports import AnswerStream
from actors.providers.http.provider import HttpProvider, UpstreamClient
from actors.providers.http.transport import Statistics, TrioTransport
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import Chunk, FinishChunk, TextChunk
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from actors.turn.outcome import Reason
from tests.support.scripted_connections import LAST, CancelAtStep, chunked, head

SSE = head(200, "content-type: text/event-stream", "transfer-encoding: chunked")
TEXT = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
HI = TextChunk("Hi")
CALL = ModelCall(upstream_model="m", messages=read_messages([{"role": "user"}]), parameters={})
IDLE = Statistics(connecting=0, open=1, idle=1)
NOTHING = Statistics(connecting=0, open=0, idle=0)
GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class ServerConnection:
    """The server's side of one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = b""

    async def request(self) -> bytes:
        """Return the next request's body; `b""` if the client has disconnected."""
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                return b""
        before, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        (length,) = (
            int(line.partition(b":")[2])
            for line in before.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        while len(self._buffer) < length:
            await self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return body

    async def _more(self) -> bytes:
        try:
            data = bytes(await self.stream.receive_some(65536))
        except GONE:
            data = b""
        self._buffer += data
        return data

    async def send(self, *parts: bytes) -> None:
        await self.stream.send_all(b"".join(parts))

    def reset(self) -> None:
        """Close the connection with RST."""
        stream = self.stream
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        assert isinstance(stream, trio.SocketStream)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()


Handler = Callable[[ServerConnection], Awaitable[None]]


class Upstream:
    """A server with one handler for every connection, and a provider that uses it."""

    def __init__(self, handler: Handler, ca: trustme.CA | None) -> None:
        self._handler = handler
        self._ca = ca
        self.connections = 0
        self.open = 0
        self.all_closed = trio.Event()
        context = None
        if ca is not None:
            context = ssl.create_default_context()
            ca.configure_trust(context)
        self.client = UpstreamClient(TrioTransport(tls=context))

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            if self._ca is None:
                (listener,) = await nursery.start(
                    partial(trio.serve_tcp, self._handle, 0, host="127.0.0.1")
                )
            else:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.set_alpn_protocols(["h2", "http/1.1"])
                self._ca.issue_cert("localhost").configure_cert(context)
                (tls,) = await nursery.start(
                    partial(trio.serve_ssl_over_tcp, self._handle, 0, context, host="127.0.0.1")
                )
                listener = tls.transport_listener
            port = listener.socket.getsockname()[1]
            host = "127.0.0.1" if self._ca is None else "localhost"
            scheme = "http" if self._ca is None else "https"
            self.url = f"{scheme}://{host}:{port}/v1"
            self.provider = HttpProvider("p", self.url, None, self.client)
            task_status.started()

    async def _handle(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        self.open += 1
        self.all_closed = trio.Event()
        try:
            await self._handler(ServerConnection(stream))
        except GONE:
            pass
        finally:
            await trio.aclose_forcefully(stream)
            self.open -= 1
            if not self.open:
                self.all_closed.set()

    async def open_answer(self) -> AnswerStream:
        return await self.provider.open(CALL, connect_s=5.0)

    @property
    def statistics(self) -> Statistics:
        return self.client.upstream.statistics()


Start = Callable[[Handler], Awaitable[Upstream]]


@pytest.fixture(params=["tcp", "tls"])
async def start(request: pytest.FixtureRequest) -> AsyncIterator[Start]:
    """Yield a function that starts an upstream, without TLS and with it."""
    ca = trustme.CA() if request.param == "tls" else None
    upstreams: list[Upstream] = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            async def start(handler: Handler) -> Upstream:
                upstream = Upstream(handler, ca)
                await nursery.start(upstream.serve)
                upstreams.append(upstream)
                return upstream

            yield start
            for upstream in upstreams:
                await upstream.client.aclose()
                assert upstream.statistics == NOTHING
            nursery.cancel_scope.cancel()


async def read_all_chunks(answer: AnswerStream) -> list[Chunk]:
    chunks: list[Chunk] = []
    while batch := await answer.receive():
        chunks += batch
    return chunks


async def answer_all(connection: ServerConnection) -> None:
    while await connection.request():
        await connection.send(SSE, chunked(TEXT))
        await connection.send(chunked(STOP, DONE), LAST)


async def test_connection_is_reused_for_many_answers(start: Start) -> None:
    upstream = await start(answer_all)
    for _ in range(20):
        answer = await upstream.open_answer()
        assert await read_all_chunks(answer) == [HI, FinishChunk(Reason.STOP)]
        answer.release()
    assert upstream.connections == 1
    assert upstream.statistics == IDLE


async def test_connection_is_reused_when_the_last_chunk_follows_done_late(start: Start) -> None:
    ended = trio.Event()
    may_end = trio.Event()

    async def handler(connection: ServerConnection) -> None:
        while await connection.request():
            await connection.send(SSE, chunked(TEXT, STOP, DONE))
            await may_end.wait()
            await connection.send(LAST)
            ended.set()

    upstream = await start(handler)
    answer = await upstream.open_answer()
    await read_all_chunks(answer)
    answer.release()
    may_end.set()
    await ended.wait()
    answer = await upstream.open_answer()
    await read_all_chunks(answer)
    answer.release()
    assert upstream.connections == 1


async def test_connection_is_not_reused_without_the_last_chunk(start: Start) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.request()
        await connection.send(SSE, chunked(TEXT, STOP, DONE))
        await connection.request()

    upstream = await start(handler)
    for _ in range(2):
        answer = await upstream.open_answer()
        await read_all_chunks(answer)
        answer.release()
    assert upstream.connections == 2
    assert upstream.statistics == IDLE


@pytest.mark.parametrize("moment", ["before the head", "before a token", "mid-stream"])
async def test_cancellation_closes_the_connection(start: Start, moment: str) -> None:
    waiting = trio.Event()
    sent = {"before the head": b"", "before a token": SSE, "mid-stream": SSE + chunked(TEXT)}

    async def handler(connection: ServerConnection) -> None:
        await connection.request()
        if sent[moment]:
            await connection.send(sent[moment])
        waiting.set()
        assert await connection.request() == b""

    upstream = await start(handler)

    async def turn() -> None:
        answer = await upstream.open_answer()
        try:
            while await answer.receive():
                pass
        finally:
            answer.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn)
        await waiting.wait()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert upstream.statistics == NOTHING
    await upstream.all_closed.wait()


async def test_reset_mid_answer_is_truncated(start: Start) -> None:
    may_reset = trio.Event()

    async def handler(connection: ServerConnection) -> None:
        await connection.request()
        await connection.send(SSE, chunked(TEXT))
        await may_reset.wait()
        connection.reset()

    upstream = await start(handler)
    answer = await upstream.open_answer()
    assert await answer.receive() == [HI]
    may_reset.set()
    with pytest.raises(UpstreamFailure) as caught:
        await answer.receive()
    assert caught.value.kind is FailureKind.TRUNCATED
    answer.close()


@pytest.mark.parametrize("closes", [False, True])
async def test_eof_within_a_chunk_is_truncated(start: Start, closes: bool) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.request()
        await connection.send(SSE, chunked(TEXT), chunked(TEXT)[:-9])
        if closes:
            await connection.stream.aclose()

    upstream = await start(handler)
    answer = await upstream.open_answer()
    seen: list[Chunk] = []
    with pytest.raises(UpstreamFailure) as caught:  # noqa: PT012
        while True:
            seen += await answer.receive()
    assert seen == [HI]
    assert caught.value.kind is FailureKind.TRUNCATED
    answer.close()


async def test_eof_before_the_response_head_is_refused(start: Start) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.request()

    upstream = await start(handler)
    with pytest.raises(UpstreamFailure) as caught:
        await upstream.open_answer()
    assert caught.value.kind is FailureKind.REFUSED
    assert upstream.connections == 1


@pytest.mark.parametrize("how", ["fin", "rst", "after the next request"])
async def test_connection_that_died_idle_is_replaced(start: Start, how: str) -> None:
    closed = trio.Event()

    async def handler(connection: ServerConnection) -> None:
        await connection.request()
        await connection.send(SSE, chunked(TEXT, STOP, DONE), LAST)
        if upstream.connections > 1 or how == "after the next request":
            await connection.request()
        if upstream.connections == 1 and how == "rst":
            connection.reset()
        else:
            await trio.aclose_forcefully(connection.stream)
        closed.set()

    upstream = await start(handler)
    for _ in range(2):
        answer = await upstream.open_answer()
        assert await read_all_chunks(answer) == [HI, FinishChunk(Reason.STOP)]
        answer.release()
        if how != "after the next request":
            await closed.wait()
    assert upstream.connections == 2


async def test_large_request_is_sent_completely(start: Start) -> None:
    received: list[int] = []

    async def handler(connection: ServerConnection) -> None:
        received.append(len(await connection.request()))
        await connection.send(SSE, chunked(TEXT, STOP, DONE), LAST)

    upstream = await start(handler)
    text = "x" * 5_000_000
    call = ModelCall(upstream_model="m", messages=read_messages([{"content": text}]), parameters={})
    answer = await upstream.provider.open(call, connect_s=5.0)
    await read_all_chunks(answer)
    answer.release()
    assert received[0] > len(text)


async def test_cancellation_at_any_step_leaves_no_connection_open(start: Start) -> None:
    upstream = await start(answer_all)
    step, finished = 0, False
    while not finished:
        step += 1
        with trio.CancelScope() as scope:
            instrument = CancelAtStep(trio.lowlevel.current_task(), scope, step)
            trio.lowlevel.add_instrument(instrument)
            answer = await upstream.open_answer()
            try:
                await read_all_chunks(answer)
                finished = True
            finally:
                answer.close()
        trio.lowlevel.remove_instrument(instrument)
        assert upstream.statistics == NOTHING
    assert step > 4
    await upstream.all_closed.wait()


async def test_connection_refused() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with UpstreamClient(TrioTransport()) as client:
            provider = HttpProvider("p", f"http://127.0.0.1:{port}", None, client)
            with pytest.raises(UpstreamFailure) as caught:
                await provider.open(CALL, connect_s=5.0)
    assert caught.value.kind is FailureKind.REFUSED
    assert caught.value.message == "the provider cannot be reached: connection refused"


class FailingResolver(trio.abc.HostnameResolver):
    """A resolver that fails for every name."""

    async def getaddrinfo(self, *args: object, **options: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "nowhere: Name or service not known")

    async def getnameinfo(self, *args: object) -> tuple[str, str]:
        raise NotImplementedError


async def test_unresolvable_host_is_refused() -> None:
    trio.socket.set_custom_hostname_resolver(FailingResolver())
    async with UpstreamClient(TrioTransport()) as client:
        provider = HttpProvider("p", "http://nowhere", None, client)
        with pytest.raises(UpstreamFailure) as caught:
            await provider.open(CALL, connect_s=5.0)
    assert caught.value.kind is FailureKind.REFUSED
    assert caught.value.message.endswith("the host's name cannot be resolved")


async def test_untrusted_certificate_is_refused(nursery: trio.Nursery) -> None:
    upstream = Upstream(answer_all, trustme.CA())
    with trio.fail_after(10):
        await nursery.start(upstream.serve)
        untrusting_client = UpstreamClient(TrioTransport(tls=ssl.create_default_context()))
        async with untrusting_client, upstream.client:
            provider = HttpProvider("p", upstream.url, None, untrusting_client)
            with pytest.raises(UpstreamFailure) as caught:
                await provider.open(CALL, connect_s=5.0)
            assert caught.value.kind is FailureKind.REFUSED
            assert "certificate not accepted" in caught.value.message
            assert untrusting_client.upstream.statistics() == NOTHING
            by_address = upstream.url.replace("localhost", "127.0.0.1")
            provider = HttpProvider("p", by_address, None, upstream.client)
            with pytest.raises(UpstreamFailure, match="certificate not accepted"):
                await provider.open(CALL, connect_s=5.0)
    nursery.cancel_scope.cancel()


async def test_tls_offers_only_http_1_1(nursery: trio.Nursery) -> None:
    seen: list[object] = []

    async def handler(connection: ServerConnection) -> None:
        await connection.request()
        stream = connection.stream
        assert isinstance(stream, trio.SSLStream)
        seen.append(stream.selected_alpn_protocol())
        await connection.send(head(204))

    upstream = Upstream(handler, trustme.CA())
    with trio.fail_after(10):
        await nursery.start(upstream.serve)
        async with upstream.client as client:
            assert (await client.post(upstream.url, content=b"x")).status_code == 204
    assert seen == ["http/1.1"]
    nursery.cancel_scope.cancel()


async def test_httpx_client_api_works_on_the_transport(nursery: trio.Nursery) -> None:
    upstream = Upstream(answer_all, None)
    with trio.fail_after(10):
        await nursery.start(upstream.serve)
        async with upstream.client as client:
            for _ in range(2):
                async with client.stream("POST", upstream.url, content=b"x") as response:
                    assert b"".join([part async for part in response.aiter_raw()]).startswith(TEXT)
            assert upstream.connections == 1
            with pytest.raises(httpx.ConnectError):
                await client.get("http://127.0.0.1:1/")
    nursery.cancel_scope.cancel()
