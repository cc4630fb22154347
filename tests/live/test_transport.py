"""The transport on real sockets, against a small server in the same process."""

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

from actors.chunks import Chunk, FinishChunk, TextChunk
from actors.outcome import Reason
from actors.providers.base import Answer, FailureKind, ModelCall, UpstreamFailure
from actors.providers.http import HttpProvider, UpstreamClient
from actors.providers.transport import Statistics, TrioTransport
from tests.actors.providers.memory import LAST, CancelAtStep, chunked, head

SSE = head(200, "content-type: text/event-stream", "transfer-encoding: chunked")
TEXT = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
HI = TextChunk("Hi")
CALL = ModelCall(upstream_model="m", messages=[{"role": "user"}], parameters={})
IDLE = Statistics(connecting=0, open=1, idle=1)
NOTHING = Statistics(connecting=0, open=0, idle=0)
GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class Asked:
    """One connection as the server has it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = b""

    async def request(self) -> bytes:
        """The next request's body; `b""` where the client has gone."""
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

    async def say(self, *parts: bytes) -> None:
        await self.stream.send_all(b"".join(parts))

    def reset(self) -> None:
        """End the connection with an RST."""
        stream = self.stream
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        assert isinstance(stream, trio.SocketStream)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()


Play = Callable[[Asked], Awaitable[None]]


class Upstream:
    """A server that plays the same part on every connection, and the provider that asks it."""

    def __init__(self, play: Play, ca: trustme.CA | None) -> None:
        self._play = play
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
            await self._play(Asked(stream))
        except GONE:
            pass
        finally:
            await trio.aclose_forcefully(stream)
            self.open -= 1
            if not self.open:
                self.all_closed.set()

    async def ask(self) -> Answer:
        return await self.provider.open(CALL, connect_s=5.0)

    @property
    def statistics(self) -> Statistics:
        return self.client.upstream.statistics()


Start = Callable[[Play], Awaitable[Upstream]]


@pytest.fixture(params=["tcp", "tls"])
async def start(request: pytest.FixtureRequest) -> AsyncIterator[Start]:
    """Starts an upstream, without TLS and with it."""
    ca = trustme.CA() if request.param == "tls" else None
    started: list[Upstream] = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            async def start(play: Play) -> Upstream:
                upstream = Upstream(play, ca)
                await nursery.start(upstream.serve)
                started.append(upstream)
                return upstream

            yield start
            for upstream in started:
                await upstream.client.aclose()
                assert upstream.statistics == NOTHING
            nursery.cancel_scope.cancel()


async def drained(answer: Answer) -> list[Chunk]:
    chunks: list[Chunk] = []
    while batch := await answer.receive():
        chunks += batch
    return chunks


async def answer_all(asked: Asked) -> None:
    while await asked.request():
        await asked.say(SSE, chunked(TEXT))
        await asked.say(chunked(STOP, DONE), LAST)


async def test_one_connection_for_many_answers(start: Start) -> None:
    upstream = await start(answer_all)
    for _ in range(20):
        answer = await upstream.ask()
        assert await drained(answer) == [HI, FinishChunk(Reason.STOP)]
        answer.release()
    assert upstream.connections == 1
    assert upstream.statistics == IDLE


async def test_reuse_after_the_end_marker_when_the_last_chunk_is_late(start: Start) -> None:
    ended = trio.Event()
    may_end = trio.Event()

    async def play(asked: Asked) -> None:
        while await asked.request():
            await asked.say(SSE, chunked(TEXT, STOP, DONE))
            await may_end.wait()
            await asked.say(LAST)
            ended.set()

    upstream = await start(play)
    answer = await upstream.ask()
    await drained(answer)
    answer.release()
    may_end.set()
    await ended.wait()
    answer = await upstream.ask()
    await drained(answer)
    answer.release()
    assert upstream.connections == 1


async def test_no_reuse_where_the_last_chunk_never_came(start: Start) -> None:
    async def play(asked: Asked) -> None:
        await asked.request()
        await asked.say(SSE, chunked(TEXT, STOP, DONE))
        await asked.request()

    upstream = await start(play)
    for _ in range(2):
        answer = await upstream.ask()
        await drained(answer)
        answer.release()
    assert upstream.connections == 2
    assert upstream.statistics == IDLE


@pytest.mark.parametrize("moment", ["before the head", "before a token", "mid-stream"])
async def test_cancelling_closes_the_peer_s_socket(start: Start, moment: str) -> None:
    waiting = trio.Event()
    said = {"before the head": b"", "before a token": SSE, "mid-stream": SSE + chunked(TEXT)}

    async def play(asked: Asked) -> None:
        await asked.request()
        if said[moment]:
            await asked.say(said[moment])
        waiting.set()
        assert await asked.request() == b""

    upstream = await start(play)

    async def turn() -> None:
        answer = await upstream.ask()
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


async def test_a_reset_in_the_middle(start: Start) -> None:
    may_reset = trio.Event()

    async def play(asked: Asked) -> None:
        await asked.request()
        await asked.say(SSE, chunked(TEXT))
        await may_reset.wait()
        asked.reset()

    upstream = await start(play)
    answer = await upstream.ask()
    assert await answer.receive() == [HI]
    may_reset.set()
    with pytest.raises(UpstreamFailure) as caught:
        await answer.receive()
    assert caught.value.kind is FailureKind.TRUNCATED
    answer.close()


@pytest.mark.parametrize("goodbye", [False, True])
async def test_half_a_chunk_and_the_end(start: Start, goodbye: bool) -> None:
    async def play(asked: Asked) -> None:
        await asked.request()
        await asked.say(SSE, chunked(TEXT), chunked(TEXT)[:-9])
        if goodbye:
            await asked.stream.aclose()

    upstream = await start(play)
    answer = await upstream.ask()
    seen: list[Chunk] = []
    with pytest.raises(UpstreamFailure) as caught:  # noqa: PT012
        while True:
            seen += await answer.receive()
    assert seen == [HI]
    assert caught.value.kind is FailureKind.TRUNCATED
    answer.close()


async def test_the_end_before_the_head(start: Start) -> None:
    async def play(asked: Asked) -> None:
        await asked.request()

    upstream = await start(play)
    with pytest.raises(UpstreamFailure) as caught:
        await upstream.ask()
    assert caught.value.kind is FailureKind.REFUSED
    assert upstream.connections == 1


@pytest.mark.parametrize("how", ["fin", "rst", "only when asked again"])
async def test_a_connection_that_died_idle_is_replaced(start: Start, how: str) -> None:
    over = trio.Event()

    async def play(asked: Asked) -> None:
        await asked.request()
        await asked.say(SSE, chunked(TEXT, STOP, DONE), LAST)
        if upstream.connections > 1 or how == "only when asked again":
            await asked.request()
        if upstream.connections == 1 and how == "rst":
            asked.reset()
        else:
            await trio.aclose_forcefully(asked.stream)
        over.set()

    upstream = await start(play)
    for _ in range(2):
        answer = await upstream.ask()
        assert await drained(answer) == [HI, FinishChunk(Reason.STOP)]
        answer.release()
        if how != "only when asked again":
            await over.wait()
    assert upstream.connections == 2


async def test_a_large_request_to_a_slow_reader(start: Start) -> None:
    received: list[int] = []

    async def play(asked: Asked) -> None:
        received.append(len(await asked.request()))
        await asked.say(SSE, chunked(TEXT, STOP, DONE), LAST)

    upstream = await start(play)
    text = "x" * 5_000_000
    call = ModelCall(upstream_model="m", messages=[{"content": text}], parameters={})
    answer = await upstream.provider.open(call, connect_s=5.0)
    await drained(answer)
    answer.release()
    assert received[0] > len(text)


async def test_cancelled_at_any_step_nothing_stays_open(start: Start) -> None:
    upstream = await start(answer_all)
    step, finished = 0, False
    while not finished:
        step += 1
        with trio.CancelScope() as scope:
            watch = CancelAtStep(trio.lowlevel.current_task(), scope, step)
            trio.lowlevel.add_instrument(watch)
            answer = await upstream.ask()
            try:
                await drained(answer)
                finished = True
            finally:
                answer.close()
        trio.lowlevel.remove_instrument(watch)
        assert upstream.statistics == NOTHING
    assert step > 4
    await upstream.all_closed.wait()


async def test_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with UpstreamClient(TrioTransport()) as client:
            provider = HttpProvider("p", f"http://127.0.0.1:{port}", None, client)
            with pytest.raises(UpstreamFailure) as caught:
                await provider.open(CALL, connect_s=5.0)
    assert caught.value.kind is FailureKind.REFUSED
    assert caught.value.message == "the provider cannot be reached: connection refused"


class NoNames(trio.abc.HostnameResolver):
    """A resolver that knows no name."""

    async def getaddrinfo(self, *args: object, **options: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "nowhere: Name or service not known")

    async def getnameinfo(self, *args: object) -> tuple[str, str]:
        raise NotImplementedError


async def test_a_name_that_does_not_exist() -> None:
    trio.socket.set_custom_hostname_resolver(NoNames())
    async with UpstreamClient(TrioTransport()) as client:
        provider = HttpProvider("p", "http://nowhere", None, client)
        with pytest.raises(UpstreamFailure) as caught:
            await provider.open(CALL, connect_s=5.0)
    assert caught.value.kind is FailureKind.REFUSED
    assert caught.value.message.endswith("the host's name cannot be resolved")


async def test_a_certificate_of_nobody_we_know(nursery: trio.Nursery) -> None:
    upstream = Upstream(answer_all, trustme.CA())
    with trio.fail_after(10):
        await nursery.start(upstream.serve)
        strangers = UpstreamClient(TrioTransport(tls=ssl.create_default_context()))
        async with strangers, upstream.client:
            provider = HttpProvider("p", upstream.url, None, strangers)
            with pytest.raises(UpstreamFailure) as caught:
                await provider.open(CALL, connect_s=5.0)
            assert caught.value.kind is FailureKind.REFUSED
            assert "certificate not accepted" in caught.value.message
            assert strangers.upstream.statistics() == NOTHING
            by_address = upstream.url.replace("localhost", "127.0.0.1")
            provider = HttpProvider("p", by_address, None, upstream.client)
            with pytest.raises(UpstreamFailure, match="certificate not accepted"):
                await provider.open(CALL, connect_s=5.0)
    nursery.cancel_scope.cancel()


async def test_tls_offers_http_1_1_only_and_names_the_host(nursery: trio.Nursery) -> None:
    seen: list[object] = []

    async def play(asked: Asked) -> None:
        await asked.request()
        stream = asked.stream
        assert isinstance(stream, trio.SSLStream)
        seen.append(stream.selected_alpn_protocol())
        await asked.say(head(204))

    upstream = Upstream(play, trustme.CA())
    with trio.fail_after(10):
        await nursery.start(upstream.serve)
        async with upstream.client as client:
            assert (await client.post(upstream.url, content=b"x")).status_code == 204
    assert seen == ["http/1.1"]
    nursery.cancel_scope.cancel()


async def test_httpx_s_own_api_works_on_it(nursery: trio.Nursery) -> None:
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
