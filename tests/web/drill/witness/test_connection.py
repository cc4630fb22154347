"""Connections of the simulated provider, on memory streams and in virtual time."""

from collections.abc import Awaitable, Callable

import h11
import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import (
    MemoryReceiveStream,
    MemorySendStream,
    MockClock,
    memory_stream_one_way_pair,
)

from actors.providers.simulated import Scenario
from web.drill.witness.connection import handle
from web.drill.witness.http1 import Endpoint
from web.drill.witness.observations import Report, Witness, WitnessEvent
from web.drill.witness.simulation import Simulation


class MemoryEndpoint(Endpoint):
    """An `Endpoint` in memory; records if it was closed or reset."""

    def __init__(self, incoming: MemoryReceiveStream, outgoing: MemorySendStream) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.ended: str | None = None

    async def receive(self) -> bytes:
        return bytes(await self._incoming.receive_some(65_536))

    async def send(self, data: bytes) -> None:
        await self._outgoing.send_all(data)

    def close(self, *, reset: bool) -> None:
        self.ended = "reset" if reset else "fin"
        self._outgoing.close()


class SimulatedConnection:
    """One connection to a separate simulation, with the client's end."""

    def __init__(self) -> None:
        self.witness_events: list[WitnessEvent] = []
        self.witness = Witness(self.witness_events.append, tokens=True, clock=trio.current_time)
        self.simulation = Simulation(Scenario(), self.witness)
        self.to_server, incoming = memory_stream_one_way_pair()
        outgoing, self.from_server = memory_stream_one_way_pair()
        self.endpoint = MemoryEndpoint(incoming, outgoing)
        self.client = h11.Connection(h11.CLIENT)

    async def serve(self) -> None:
        await handle(self.endpoint, self.simulation)

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        given = {"host": "x", "content-length": str(len(body))} | headers
        head = h11.Request(method=method, target=path, headers=list(given.items()))
        data = self.client.send(head) or b""
        data += self.client.send(h11.Data(data=body)) or b""
        await self.to_server.send_all(data + (self.client.send(h11.EndOfMessage()) or b""))

    async def ask(self, model: str, *, stream: bool = True, id: str = "") -> None:
        call = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "?"}]}
        await self.request(
            "POST", "/v1/chat/completions", msgspec.json.encode(call), **{"x-witness-id": id}
        )

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """Return a whole response; raise `h11.RemoteProtocolError` if it is not a valid one."""
        head: h11.Response | None = None
        body = b""
        while True:
            event = self.client.next_event()
            if event is h11.NEED_DATA:
                self.client.receive_data(bytes(await self.from_server.receive_some(65_536)))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise h11.RemoteProtocolError("closed before a response")
        assert head is not None
        if self.client.our_state is h11.DONE and self.client.their_state is h11.DONE:
            self.client.start_next_cycle()
        return head.status_code, {k.decode(): v.decode() for k, v in head.headers}, body

    def report(self) -> Report:
        (report,) = self.witness.reports()
        return report

    def events(self) -> list[str]:
        return [event.event for event in self.witness_events]


def texts(body: bytes) -> list[str]:
    frames = [frame.removeprefix(b"data: ") for frame in body.split(b"\n\n")]
    deltas = [
        msgspec.json.decode(frame)["choices"][0]["delta"]
        for frame in frames
        if frame not in (b"", b"[DONE]")
    ]
    return [delta["content"] for delta in deltas if delta.get("content")]


async def run_client(
    client: Callable[[SimulatedConnection], Awaitable[None]],
) -> SimulatedConnection:
    connection = SimulatedConnection()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.serve)
        await client(connection)
        await connection.to_server.aclose()
    return connection


async def test_stream_and_its_witness(autojump_clock: MockClock) -> None:
    async def client(connection: SimulatedConnection) -> None:
        await connection.ask("sim:count,tokens=3", id="w1")
        status, headers, body = await connection.response()
        assert status == 200
        assert headers["content-type"].startswith("text/event-stream")
        assert texts(body) == ["1", " 2", " 3"]
        assert body.endswith(b"data: [DONE]\n\n")

    connection = await run_client(client)
    assert connection.events() == ["begin", "head", "token", "token", "token", "end", "closed"]
    report = connection.report()
    assert (report.id, report.model, report.stream) == ("w1", "sim:count,tokens=3", True)
    assert (report.tokens_sent, report.text_sent) == (3, "1 2 3")
    assert (report.how, report.closed_by) == ("complete", "fin")
    assert report.first_token_at == pytest.approx(0.05)
    assert report.ended_at == pytest.approx(0.09)


async def test_connection_serves_consecutive_requests(autojump_clock: MockClock) -> None:
    async def client(connection: SimulatedConnection) -> None:
        for _ in range(3):
            await connection.ask("sim:tokens=3")
            assert (await connection.response())[0] == 200
            await connection.ask("sim:tokens=3", stream=False)
            assert (await connection.response())[0] == 200
            await connection.ask("sim:429=2")
            assert (await connection.response())[0] in (200, 429)
            await connection.request("GET", "/health")
            assert (await connection.response())[2] == b'{"status":"ok"}'

    connection = await run_client(client)
    assert len(connection.witness.reports()) == 9


async def test_non_streaming_answer_takes_as_long_as_its_stream(
    autojump_clock: MockClock,
) -> None:
    async def client(connection: SimulatedConnection) -> None:
        await connection.ask("sim:count,tokens=10,head=1s", stream=False)
        _, _, body = await connection.response()
        answer = msgspec.json.decode(body)
        assert answer["choices"][0]["message"]["content"] == "1 2 3 4 5 6 7 8 9 10"
        assert answer["usage"]["completion_tokens"] == 10

    connection = await run_client(client)
    assert connection.report().head_at == pytest.approx(1 + 0.05 + 9 * 0.02)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "tokens"),
    [("sim:silent", 0), ("sim:head=9s", 0), ("sim:first=9s", 0), ("sim:stall=3", 3), ("sim", 8)],
)
async def test_disconnect_is_seen_at_once(
    model: str, tokens: int, stream: bool, autojump_clock: MockClock
) -> None:
    connection = SimulatedConnection()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.serve)
        await connection.ask(model, stream=stream)
        await trio.sleep(0.2)
        await connection.to_server.aclose()
        left_at = trio.current_time()
    report = connection.report()
    assert report.closed_at == left_at == trio.current_time()
    assert report.ended_at is None
    assert report.tokens_sent == tokens
    assert connection.endpoint.ended == "fin"


@pytest.mark.parametrize(
    ("model", "ended", "received"),
    [
        ("sim:refuse", "reset", b""),
        ("sim:garbage", "fin", b"\x16\x03\x01"),
        ("sim:count,cut=2", "fin", b'"content":" 2"'),
        ("sim:count,break=2", "fin", b'"content":" 2"'),
        ("sim:count,reset=2", "reset", b'"content":" 2"'),
        ("sim:count,noise=2", "fin", b"this is not a chunk"),
    ],
)
async def test_transport_faults_break_the_stream(
    model: str, ended: str, received: bytes, autojump_clock: MockClock
) -> None:
    connection = SimulatedConnection()
    raw = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.serve)
        await connection.ask(model)
        while data := bytes(await connection.from_server.receive_some(65_536)):
            raw += data
    assert received in raw
    assert connection.endpoint.ended == ended
    assert (connection.report().how or "?") in model
    assert b'"content":" 3"' not in raw
    connection.client.receive_data(raw)
    connection.client.receive_data(b"")
    with pytest.raises(h11.RemoteProtocolError):
        await connection.response()


@pytest.mark.parametrize("fault", ["cut=2", "break=2", "reset=2", "noise=2"])
async def test_transport_faults_break_a_non_streaming_answer(
    fault: str, autojump_clock: MockClock
) -> None:
    connection = SimulatedConnection()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.serve)
        await connection.ask(f"sim:{fault}", stream=False)
        with pytest.raises(h11.RemoteProtocolError):
            await connection.response()
    assert connection.endpoint.ended == ("reset" if fault == "reset=2" else "fin")


@pytest.mark.parametrize("fault", ["end=2", "torn=2", "badjson=2"])
async def test_content_faults_spoil_a_non_streaming_answer(
    fault: str, autojump_clock: MockClock
) -> None:
    async def client(connection: SimulatedConnection) -> None:
        await connection.ask(f"sim:{fault}", stream=False)
        status, _, body = await connection.response()
        assert status == 200
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(body)

    await run_client(client)


@pytest.mark.parametrize(
    ("model", "status", "type", "body"),
    [
        ("sim:error=503", 503, "application/json", b'"code":"service_unavailable"'),
        ("sim:oops", 404, "application/json", b"unknown setting"),
        ("sim:html", 200, "text/html; charset=utf-8", b"<html>"),
        ("sim:html=502", 502, "text/html; charset=utf-8", b"<html>"),
    ],
)
async def test_error_and_html_answers(
    model: str, status: int, type: str, body: bytes, autojump_clock: MockClock
) -> None:
    async def client(connection: SimulatedConnection) -> None:
        await connection.ask(model)
        got, headers, content = await connection.response()
        assert (got, headers["content-type"]) == (status, type)
        assert body in content

    await run_client(client)


async def test_rate_limit_has_retry_after(autojump_clock: MockClock) -> None:
    async def client(connection: SimulatedConnection) -> None:
        await connection.ask("sim:429=2")
        assert (await connection.response())[1]["retry-after"] == "2"

    await run_client(client)


@pytest.mark.parametrize(
    ("model", "missing", "there"),
    [
        ("sim:count,nodone,tokens=2", b"[DONE]", b'"finish_reason":"stop"'),
        ("sim:count,end=2", b'"finish_reason":"stop"', b'"content":" 2"'),
        ("sim:count,errorframe=2,code=late", b"[DONE]", b'"code":"late"'),
    ],
)
async def test_streams_with_missing_ends(
    model: str, missing: bytes, there: bytes, autojump_clock: MockClock
) -> None:
    async def client(connection: SimulatedConnection) -> None:
        await connection.ask(model)
        _, _, body = await connection.response()
        assert there in body
        assert missing not in body

    await run_client(client)


@pytest.mark.parametrize("stream", [True, False])
async def test_hanging_answer_is_complete(stream: bool, autojump_clock: MockClock) -> None:
    connection = SimulatedConnection()
    raw = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.serve)
        await connection.ask("sim:hang,tokens=2", stream=stream)
        with trio.move_on_after(60):
            while True:
                raw += bytes(await connection.from_server.receive_some(65_536))
        nursery.cancel_scope.cancel()
    assert b'"finish_reason":"stop"' in raw
    assert connection.report().tokens_sent == 2
    assert connection.report().how == "stopped"


async def test_pipelined_bytes_belong_to_the_next_request(autojump_clock: MockClock) -> None:
    async def client(connection: SimulatedConnection) -> None:
        await connection.ask("sim:tokens=30")
        await trio.sleep(0.2)
        ahead = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        await connection.to_server.send_all(ahead)
        assert len(texts((await connection.response())[2])) == 30
        received = b""
        while b"ok" not in received:
            received += bytes(await connection.from_server.receive_some(65_536))

    await run_client(client)


async def test_witness_can_be_queried_and_cleared(autojump_clock: MockClock) -> None:
    async def client(connection: SimulatedConnection) -> None:
        await connection.ask("sim:count,tokens=2", id="a")
        await connection.response()
        await connection.ask("sim:count,tokens=3", id="b")
        await connection.response()
        await connection.request("GET", "/witness?id=b")
        (report,) = msgspec.json.decode((await connection.response())[2])["requests"]
        assert (report["id"], report["text_sent"]) == ("b", "1 2 3")
        await connection.request("DELETE", "/witness")
        await connection.response()
        await connection.request("GET", "/witness")
        assert msgspec.json.decode((await connection.response())[2]) == {"requests": []}

    await run_client(client)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.0\r\n\r\n", b"505"),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + b" " * 2**26, b"413"),
    ],
)
async def test_invalid_requests_are_answered(raw: bytes, status: bytes) -> None:
    connection = SimulatedConnection()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.serve)
        await connection.to_server.send_all(raw)
        got = bytes(await connection.from_server.receive_some(65_536))
        assert got.startswith(b"HTTP/1.1 " + status)
        await connection.to_server.aclose()


@given(st.binary(min_size=1, max_size=300), st.booleans())
def test_any_bytes_end_the_connection_cleanly(raw: bytes, post: bool) -> None:
    async def client() -> None:
        connection = SimulatedConnection()
        length = b"Content-Length: %d\r\n\r\n" % len(raw)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + length
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.serve)
            await connection.to_server.send_all(head + raw if post else raw)
            await connection.to_server.aclose()
        assert connection.endpoint.ended == "fin"

    trio.run(client)


async def test_expect_100_continue_is_answered() -> None:
    connection = SimulatedConnection()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.serve)
        await connection.to_server.send_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
        )
        assert b"100 Continue" in bytes(await connection.from_server.receive_some(65_536))
        await connection.to_server.send_all(b"x")
        assert b"404" in bytes(await connection.from_server.receive_some(65_536))
        await connection.to_server.aclose()
