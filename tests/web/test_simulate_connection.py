"""The simulated provider's connections, over memory streams and on virtual time."""

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
from web.simulate.connection import handle
from web.simulate.simulation import Simulation
from web.simulate.witness import Happening, Report, Witness


class MemoryEndpoint:
    """An `Endpoint` in memory; remembers how it was ended."""

    def __init__(self, incoming: MemoryReceiveStream, outgoing: MemorySendStream) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.ended: str | None = None

    async def receive(self) -> bytes:
        return bytes(await self._incoming.receive_some(65_536))

    async def send(self, data: bytes) -> None:
        await self._outgoing.send_all(data)

    def close(self) -> None:
        self.ended = self.ended or "fin"
        self._outgoing.close()

    def reset(self) -> None:
        self.ended = "reset"
        self._outgoing.close()


class Stage:
    """One connection to a simulation of its own, and the client's end of it."""

    def __init__(self) -> None:
        self.happenings: list[Happening] = []
        self.witness = Witness(self.happenings.append, tokens=True, clock=trio.current_time)
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
        """A whole response; raises `h11.RemoteProtocolError` where it is none."""
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
        return [happening.event for happening in self.happenings]


def texts(body: bytes) -> list[str]:
    frames = [frame.removeprefix(b"data: ") for frame in body.split(b"\n\n")]
    deltas = [
        msgspec.json.decode(frame)["choices"][0]["delta"]
        for frame in frames
        if frame not in (b"", b"[DONE]")
    ]
    return [delta["content"] for delta in deltas if delta.get("content")]


async def with_stage(play: Callable[[Stage], Awaitable[None]]) -> Stage:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.serve)
        await play(stage)
        await stage.to_server.aclose()
    return stage


async def test_a_stream_and_its_witness(autojump_clock: MockClock) -> None:
    async def play(stage: Stage) -> None:
        await stage.ask("sim:count,tokens=3", id="w1")
        status, headers, body = await stage.response()
        assert status == 200
        assert headers["content-type"].startswith("text/event-stream")
        assert texts(body) == ["1", " 2", " 3"]
        assert body.endswith(b"data: [DONE]\n\n")

    stage = await with_stage(play)
    assert stage.events() == ["begin", "head", "token", "token", "token", "end", "closed"]
    report = stage.report()
    assert (report.id, report.model, report.stream) == ("w1", "sim:count,tokens=3", True)
    assert (report.tokens_sent, report.text_sent) == (3, "1 2 3")
    assert (report.how, report.closed_by) == ("complete", "fin")
    assert report.first_token_at == pytest.approx(0.05)
    assert report.ended_at == pytest.approx(0.09)


async def test_a_connection_serves_one_request_after_the_other(autojump_clock: MockClock) -> None:
    async def play(stage: Stage) -> None:
        for _ in range(3):
            await stage.ask("sim:tokens=3")
            assert (await stage.response())[0] == 200
            await stage.ask("sim:tokens=3", stream=False)
            assert (await stage.response())[0] == 200
            await stage.ask("sim:429=2")
            assert (await stage.response())[0] in (200, 429)
            await stage.request("GET", "/health")
            assert (await stage.response())[2] == b'{"status":"ok"}'

    stage = await with_stage(play)
    assert len(stage.witness.reports()) == 9


async def test_an_answer_in_one_piece_takes_as_long_as_its_stream(
    autojump_clock: MockClock,
) -> None:
    async def play(stage: Stage) -> None:
        await stage.ask("sim:count,tokens=10,head=1s", stream=False)
        _, _, body = await stage.response()
        answer = msgspec.json.decode(body)
        assert answer["choices"][0]["message"]["content"] == "1 2 3 4 5 6 7 8 9 10"
        assert answer["usage"]["completion_tokens"] == 10

    stage = await with_stage(play)
    assert stage.report().head_at == pytest.approx(1 + 0.05 + 9 * 0.02)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "tokens"),
    [("sim:silent", 0), ("sim:head=9s", 0), ("sim:first=9s", 0), ("sim:stall=3", 3), ("sim", 8)],
)
async def test_a_leaving_peer_is_seen_at_once(
    model: str, tokens: int, stream: bool, autojump_clock: MockClock
) -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.serve)
        await stage.ask(model, stream=stream)
        await trio.sleep(0.2)
        await stage.to_server.aclose()
        left_at = trio.current_time()
    report = stage.report()
    assert report.closed_at == left_at == trio.current_time()
    assert report.ended_at is None
    assert report.tokens_sent == tokens
    assert stage.endpoint.ended == "fin"


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
async def test_connections_that_break_break(
    model: str, ended: str, received: bytes, autojump_clock: MockClock
) -> None:
    stage = Stage()
    raw = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.serve)
        await stage.ask(model)
        while data := bytes(await stage.from_server.receive_some(65_536)):
            raw += data
    assert received in raw
    assert stage.endpoint.ended == ended
    assert (stage.report().how or "?") in model
    assert b'"content":" 3"' not in raw
    stage.client.receive_data(raw)
    stage.client.receive_data(b"")
    with pytest.raises(h11.RemoteProtocolError):
        await stage.response()


@pytest.mark.parametrize("fault", ["cut=2", "break=2", "reset=2", "noise=2"])
async def test_an_answer_in_one_piece_breaks_too(fault: str, autojump_clock: MockClock) -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.serve)
        await stage.ask(f"sim:{fault}", stream=False)
        with pytest.raises(h11.RemoteProtocolError):
            await stage.response()
    assert stage.endpoint.ended == ("reset" if fault == "reset=2" else "fin")


@pytest.mark.parametrize("fault", ["end=2", "torn=2", "badjson=2"])
async def test_an_answer_in_one_piece_is_spoilt_in_good_order(
    fault: str, autojump_clock: MockClock
) -> None:
    async def play(stage: Stage) -> None:
        await stage.ask(f"sim:{fault}", stream=False)
        status, _, body = await stage.response()
        assert status == 200
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(body)

    await with_stage(play)


@pytest.mark.parametrize(
    ("model", "status", "type", "body"),
    [
        ("sim:error=503", 503, "application/json", b'"code":"service_unavailable"'),
        ("sim:oops", 404, "application/json", b"unknown setting"),
        ("sim:html", 200, "text/html; charset=utf-8", b"<html>"),
        ("sim:html=502", 502, "text/html; charset=utf-8", b"<html>"),
    ],
)
async def test_other_answers(
    model: str, status: int, type: str, body: bytes, autojump_clock: MockClock
) -> None:
    async def play(stage: Stage) -> None:
        await stage.ask(model)
        got, headers, content = await stage.response()
        assert (got, headers["content-type"]) == (status, type)
        assert body in content

    await with_stage(play)


async def test_a_retry_is_told_when(autojump_clock: MockClock) -> None:
    async def play(stage: Stage) -> None:
        await stage.ask("sim:429=2")
        assert (await stage.response())[1]["retry-after"] == "2"

    await with_stage(play)


@pytest.mark.parametrize(
    ("model", "missing", "there"),
    [
        ("sim:count,nodone,tokens=2", b"[DONE]", b'"finish_reason":"stop"'),
        ("sim:count,end=2", b'"finish_reason":"stop"', b'"content":" 2"'),
        ("sim:count,errorframe=2,code=late", b"[DONE]", b'"code":"late"'),
    ],
)
async def test_streams_that_lack_an_end(
    model: str, missing: bytes, there: bytes, autojump_clock: MockClock
) -> None:
    async def play(stage: Stage) -> None:
        await stage.ask(model)
        _, _, body = await stage.response()
        assert there in body
        assert missing not in body

    await with_stage(play)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_hangs_is_whole(stream: bool, autojump_clock: MockClock) -> None:
    stage = Stage()
    raw = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.serve)
        await stage.ask("sim:hang,tokens=2", stream=stream)
        with trio.move_on_after(60):
            while True:
                raw += bytes(await stage.from_server.receive_some(65_536))
        nursery.cancel_scope.cancel()
    assert b'"finish_reason":"stop"' in raw
    assert stage.report().tokens_sent == 2
    assert stage.report().how == "stopped"


async def test_bytes_sent_ahead_belong_to_the_next_request(autojump_clock: MockClock) -> None:
    async def play(stage: Stage) -> None:
        await stage.ask("sim:tokens=30")
        await trio.sleep(0.2)
        ahead = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        await stage.to_server.send_all(ahead)
        assert len(texts((await stage.response())[2])) == 30
        received = b""
        while b"ok" not in received:
            received += bytes(await stage.from_server.receive_some(65_536))

    await with_stage(play)


async def test_the_witness_can_be_asked_and_told_to_forget(autojump_clock: MockClock) -> None:
    async def play(stage: Stage) -> None:
        await stage.ask("sim:count,tokens=2", id="a")
        await stage.response()
        await stage.ask("sim:count,tokens=3", id="b")
        await stage.response()
        await stage.request("GET", "/witness?id=b")
        (report,) = msgspec.json.decode((await stage.response())[2])["requests"]
        assert (report["id"], report["text_sent"]) == ("b", "1 2 3")
        await stage.request("DELETE", "/witness")
        await stage.response()
        await stage.request("GET", "/witness")
        assert msgspec.json.decode((await stage.response())[2]) == {"requests": []}

    await with_stage(play)


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
async def test_bad_requests_are_answered(raw: bytes, status: bytes) -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.serve)
        await stage.to_server.send_all(raw)
        got = bytes(await stage.from_server.receive_some(65_536))
        assert got.startswith(b"HTTP/1.1 " + status)
        await stage.to_server.aclose()


@given(st.binary(min_size=1, max_size=300), st.booleans())
def test_no_bytes_bring_a_connection_down(raw: bytes, post: bool) -> None:
    async def play() -> None:
        stage = Stage()
        length = b"Content-Length: %d\r\n\r\n" % len(raw)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + length
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.serve)
            await stage.to_server.send_all(head + raw if post else raw)
            await stage.to_server.aclose()
        assert stage.endpoint.ended == "fin"

    trio.run(play)


async def test_curl_is_told_to_go_on_with_a_long_body() -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.serve)
        await stage.to_server.send_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
        )
        assert b"100 Continue" in bytes(await stage.from_server.receive_some(65_536))
        await stage.to_server.send_all(b"x")
        assert b"404" in bytes(await stage.from_server.receive_some(65_536))
        await stage.to_server.aclose()
