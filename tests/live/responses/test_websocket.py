"""Responses WebSockets on real connections: chains, cancellation, faults, limits and shutdown."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest
import trio
from openai.types.responses.responses_server_event import ResponsesServerEvent
from trio_websocket import ConnectionClosed

from tests.live.restart.test_rolling_restart import has_logged, restart
from tests.support.live import harness
from tests.support.live.harness import Process, Server, until
from tests.support.live.http_client import JSON, fetch, live_turns, reports, turn
from tests.support.live.websocket_client import (
    QUESTION,
    LiveSocket,
    open_connection,
    open_raw_socket,
    open_socket,
    text_in,
)
from tests.support.responses_socket import HANDSHAKE, masked_frame
from tests.support.sizes import FULL

QUICK = "up/v:first=0,delay=1ms,tokens=20"
SLOW = "up/v:delay=20ms,tokens=500"
LIMIT = 100_000
CLIENTS = 8 if FULL else 4
"""Clients during a rolling restart."""
STALL_S = 3.0
NOT_FOUND = (404, "previous_response_not_found", "previous_response_id")
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture(scope="module")
def small_limits(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """Run a server with small limits."""
    directory = tmp_path_factory.mktemp("narrow")
    limits = f"[limits]\nbody_bytes = {LIMIT}\nwrite_stall_s = {STALL_S}\n[timeouts]\nidle_s = 120"
    config = harness.write_config(
        directory, upstream.port, f"grace_s = 0\ndrain_s = 1\n{limits}\n[turns]\nheartbeat_s = 1\n"
    )
    with harness.serving(directory, config) as server:
        yield server


async def ended(server: Process, response_id: str) -> JSON:
    """Wait until the turn of a response has ended and return it."""

    async def look() -> JSON | None:
        found = await turn(server, "turn_" + response_id.removeprefix("resp_"))
        return found if found["ended_at"] else None

    found = await until(look)
    assert found is not None
    return found


@pytest.mark.parametrize("store", [True, False])
async def test_chain_of_responses_on_one_socket(live: Server, store: bool) -> None:
    async with open_socket(live, QUICK) as socket:
        response = await socket.respond(store=store)
        for _ in range(30):
            before = response
            response = await socket.respond(previous_response_id=before["id"], store=store)
            assert response["previous_response_id"] == before["id"]
            tokens = response["usage"]["input_tokens"]
            assert tokens >= before["usage"]["total_tokens"] + 4, (
                "the model must see the whole chain again"
            )
        status, document = await fetch(live, f"/v1/responses/{response['id']}")
        if store:
            assert document == response
        else:
            assert status == 404
        async with open_socket(live, QUICK) as other:
            await other.create(previous_response_id=response["id"])
            if store:
                await other.receive_all()
            else:
                assert await other.receive_error() == NOT_FOUND


async def test_tool_call_and_its_result(live: Server) -> None:
    async with open_socket(live, "up/v:first=0,delay=0,tool") as socket:
        first = await socket.respond(tools=[WEATHER], store=False)
        (call,) = [item for item in first["output"] if item["type"] == "function_call"]
        assert json.loads(call["arguments"]).keys() == {"city"}
        given = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
        second = await socket.respond(
            input=[given], previous_response_id=first["id"], tools=[WEATHER], store=False
        )
        assert text_in(second).startswith("The tool says: sunny")


async def test_cancellation_closes_upstream_at_once(live: Server, upstream: Process) -> None:
    async with open_socket(live, SLOW) as socket:
        await socket.create(user="cancels")
        received_text = await socket.read_text(3)
        cancelled_at = time.monotonic()
        await socket.send({"type": "response.cancel"})
        failed = await socket.receive_until("response.failed")
        assert failed["response"]["status"] == "cancelled"
        assert text_in(failed["response"]).startswith(received_text)
        (report,) = await reports(upstream, "cancels")
        assert isinstance(report["closed_at"], float)
        assert report["closed_at"] - cancelled_at < 0.1
        found = await ended(live, failed["response"]["id"])
        assert (found["status"], found["reason"]) == ("cancelled", "cancel_requested")
        again = await socket.respond(model=QUICK, previous_response_id=failed["response"]["id"])
        assert again["status"] == "completed"


async def test_second_response_is_refused_while_one_is_in_progress(live: Server) -> None:
    async with open_socket(live, "up/v:delay=10ms,tokens=60") as socket:
        await socket.create()
        begun = [await socket.receive() for _ in range(8)]
        for _ in range(5):
            await socket.create()
            received, error = [], await socket.receive()
            while error["type"] != "error":
                received.append(error)
                error = await socket.receive()
            begun += received
            assert error["error"]["code"] == "response_in_progress"
        whole = await socket.receive_all(begun)
        assert whole[-1]["response"]["status"] == "completed"
        await socket.respond(model=QUICK)


async def run_concurrent_response(server: Server, statuses: list[str], begun: trio.Event) -> None:
    """Run a response on another socket concurrently."""
    async with open_socket(server, "up/v:first=0,delay=10ms,tokens=60") as socket:
        await socket.create()
        await socket.read_text(1)
        begun.set()
        statuses.append((await socket.receive_until("response.completed"))["response"]["status"])


def frame_message(opcode: int, payload: bytes) -> bytes:
    """Return a complete client message in one frame."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xff" + length.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + size + b"\x00" * 4 + payload


BROKEN = {
    "bad UTF-8": (frame_message(1, b'{"type":"\xff"}'), 1007),
    "unmasked": (b"\x81\x02hi", 1002),
    "reserved bits": (b"\xf1\x80\x00\x00\x00\x00", 1002),
    "unknown opcode": (frame_message(3, b""), 1002),
    "truncated character": (frame_message(1, "€".encode()[:2]), 1007),
    "too long": (frame_message(1, b"x" * (LIMIT + 1)), 1009),
    "too long, binary": (frame_message(2, b"x" * (LIMIT + 1)), 1009),
    "much too long": (b"\x81\xff" + (1 << 40).to_bytes(8, "big") + b"\x00" * 2_000_000, 1009),
    "too long, in many frames": (
        b"\x01\x80\x00\x00\x00\x00" + (b"\x00\xfe\x27\x10" + b"\x00" * 4 + b"x" * 10_000) * 11,
        1009,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_frames_close_only_their_socket(small_limits: Server, name: str) -> None:
    frames, code = BROKEN[name]
    statuses: list[str] = []
    begun = trio.Event()
    with trio.fail_after(15):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_concurrent_response, small_limits, statuses, begun)
            await begun.wait()
            async with open_raw_socket(small_limits) as stream:
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(frames)
                assert code.to_bytes(2, "big") in await read_to_eof(stream)
    assert statuses == ["completed"]
    assert not small_limits.logged("connection failed")


async def read_to_eof(stream: trio.SocketStream) -> bytes:
    """Read to EOF or a reset."""
    got = b""
    with suppress(trio.BrokenResourceError):
        while data := await stream.receive_some():
            got += data
    return got


@pytest.mark.parametrize("message", ["garbage", "{}", "[]", b"binary", b"\xff\x00", "x" * 90_000])
async def test_invalid_message_is_an_error(small_limits: Server, message: str | bytes) -> None:
    async with open_socket(small_limits, QUICK) as socket:
        await socket.send(message)
        assert (await socket.receive_error())[0] == 400
        await socket.respond()


async def test_message_may_be_as_long_as_a_request_body(small_limits: Server) -> None:
    async with open_socket(small_limits, QUICK) as socket:
        await socket.respond(input="Who? " * (LIMIT // 5 - 100))


async def test_flood_of_messages_during_a_response_is_bounded(small_limits: Server) -> None:
    """The client does not read the errors, so the server must stop reading its messages."""
    create = masked_frame(
        json.dumps({"type": "response.create", "model": "up/v:stall=1", "input": "a"})
    )
    async with open_raw_socket(small_limits, receive_buffer=4096) as stream:
        await stream.send_all(create)
        sent_at = time.monotonic()
        with suppress(trio.BrokenResourceError):
            while time.monotonic() < sent_at + 20:
                await stream.send_all(create * 100)
            pytest.fail("the server accepted every message")
    await until(lambda: no_live_turns(small_limits))
    async with open_socket(small_limits, QUICK) as socket:
        await socket.respond()


async def no_live_turns(server: Server) -> bool:
    return await live_turns(server) == 0


async def test_stalled_reader_is_disconnected(small_limits: Server, upstream: Process) -> None:
    create = {
        "type": "response.create",
        "model": "up/v:first=0,delay=1ms,tokens=100000",
        "input": QUESTION,
        "user": "stalls",
    }
    async with open_raw_socket(small_limits, receive_buffer=8192) as stream:
        await stream.send_all(frame_message(1, json.dumps(create).encode()))
        stalled_at = time.monotonic()

        async def look() -> JSON | None:
            found = await reports(upstream, "stalls")
            return found[0] if found and found[0]["closed_at"] is not None else None

        report = await until(look, within_s=30)
    assert report is not None
    assert isinstance(report["closed_at"], float)
    assert abs(report["closed_at"] - stalled_at - STALL_S) < 2
    await until(lambda: has_logged(small_limits, "write stalled"))


async def test_idle_socket_gets_pings_and_is_closed_without_a_pong(small_limits: Server) -> None:
    ping, pong, close = b"\x89\x00", b"\x8a\x80\0\0\0\0", b"\x88"
    async with open_raw_socket(small_limits) as stream:
        began = time.monotonic()
        for _ in range(4):
            assert await stream.receive_some() == ping
            await stream.send_all(pong)
        assert 2 < time.monotonic() - began < 5
        rest = b""
        while close not in rest:
            rest += await stream.receive_some()
        assert rest.startswith(ping * 2 + close)


async def test_sigterm_closes_each_socket_once_it_has_no_response_in_progress(
    tmp_path: Path, upstream: Process
) -> None:
    config = harness.write_config(tmp_path, upstream.port, "grace_s = 1\ndrain_s = 20\n")
    with harness.serving(tmp_path, config) as server:
        async with (
            open_socket(server, "up/v:delay=20ms,tokens=120") as busy,
            open_socket(server, QUICK) as idle,
            open_socket(server, QUICK) as late,
        ):
            await busy.create()
            await busy.read_text(3)
            server.signal(signal.SIGTERM)
            await until(lambda: draining(server))
            await late.create()
            assert await late.receive_error() == (503, "draining", None)
            assert await late.close_code() == 1001
            await check_refused(server)
            began = time.monotonic()
            assert await idle.close_code() == 1001
            assert time.monotonic() - began < 2
            assert (await busy.receive_until("response.completed"))["type"]
            assert await busy.close_code() == 1001
        assert await server.wait() == 0
        assert server.rows("SELECT status, reason FROM turns") == [("completed", "stop")]


async def draining(server: Server) -> bool:
    return bool(server.logged("drain started"))


async def check_refused(server: Server) -> None:
    """Assert that a new handshake gets 503."""
    async with open_connection(server) as stream:
        await stream.send_all(HANDSHAKE)
        answer = await read_to_eof(stream)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"draining"' in answer


async def test_drain_timeout_fails_the_response_in_progress(
    tmp_path: Path, upstream: Process
) -> None:
    config = harness.write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 0.3\n")
    with harness.serving(tmp_path, config) as server:
        async with open_socket(server, SLOW) as socket:
            await socket.create()
            await socket.read_text(3)
            server.signal(signal.SIGTERM)
            failed = await socket.receive_until("response.failed")
            assert "server_shutdown" in failed["response"]["error"]["message"]
            assert await socket.close_code() == 1001
        assert await server.wait() == 0
        assert server.rows("SELECT status, reason FROM turns") == [
            ("incomplete", "server_shutdown")
        ]


async def test_stalled_socket_does_not_delay_shutdown_after_a_second_signal(
    tmp_path: Path, upstream: Process
) -> None:
    config = harness.write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 60\n")
    create = {"type": "response.create", "model": "up/v:delay=0,tokens=100000", "input": QUESTION}
    with harness.serving(tmp_path, config) as server:
        async with open_raw_socket(server, receive_buffer=8192) as stream:
            await stream.send_all(frame_message(1, json.dumps(create).encode()))
            await until(lambda: has_live_turns(server))
            server.signal(signal.SIGTERM)
            await until(lambda: draining(server))
            server.signal(signal.SIGTERM)
            began = time.monotonic()
            assert await server.wait() == 0
            assert time.monotonic() - began < 5
    assert server.rows("SELECT count(*) FROM turns WHERE ended_at IS NULL") == [(0,)]


async def has_live_turns(server: Server) -> bool:
    return await live_turns(server) > 0


class ReconnectingClient:
    """A client that keeps requesting responses and reconnects when the server closes its socket."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._previous: str | None = None
        self.answered: list[str] = []
        self.close_codes: list[int | None] = []
        """Close codes of its sockets."""

    async def run(self, enough: trio.Event) -> None:
        """Request responses until `enough` is set."""
        while not enough.is_set():
            async with open_socket(self._server, "up/v:first=10ms,delay=5ms,tokens=20") as socket:
                while not enough.is_set() and await self._ask(socket):
                    pass

    async def _ask(self, socket: LiveSocket) -> bool:
        """Request a response; return False if the socket was closed before the response started."""
        try:
            await socket.create(previous_response_id=self._previous)
            first = await socket.receive()
        except ConnectionClosed as closed:
            self.close_codes.append(closed.reason.code if closed.reason else None)
            return False
        response = (await socket.receive_all([first]))[-1]["response"]
        assert response["status"] == "completed"
        self.answered.append(response["id"])
        self._previous = response["id"] if len(self.answered) % 20 else None
        return True


async def _all_answered(clients: list[ReconnectingClient]) -> bool:
    return all(client.answered for client in clients)


async def test_rolling_restart_interrupts_no_response(tmp_path: Path, upstream: Process) -> None:
    config = harness.write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 30\n")
    with harness.serving(tmp_path, config, options=["--supervise", "1"]) as server:
        clients, enough = [ReconnectingClient(server) for _ in range(CLIENTS)], trio.Event()
        async with open_socket(server, QUICK) as idle, trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.run, enough)
            await until(lambda: _all_answered(clients))
            await restart(server)
            assert await idle.close_code() == 1001
            await restart(server)
            enough.set()
        server.signal(signal.SIGTERM)
        assert await server.wait() == 0
        rows = server.rows("SELECT id, status, reason FROM turns")
    assert all(set(client.close_codes) == {1001} for client in clients)
    answered = ["turn_" + id.removeprefix("resp_") for t in clients for id in t.answered]
    assert sorted(answered) == sorted(str(row[0]) for row in rows)
    assert {row[1:] for row in rows} == {("completed", "stop")}


class SdkResponse:
    """The text and last event that the SDK received of one response."""

    def __init__(self) -> None:
        self.text = ""
        self.last: Any = None

    def take(self, event: ResponsesServerEvent) -> bool:
        """Process an event; return True if it was the last."""
        if event.type == "response.output_text.delta":
            self.text += event.delta
        self.last = event
        return event.type in ("response.completed", "response.failed", "error")


@pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager")
def test_sdk_chains_responses_on_a_socket(live: Server) -> None:
    with (
        openai.OpenAI(base_url=f"http://127.0.0.1:{live.port}/v1", api_key="none") as client,
        client.responses.connect() as connection,
    ):

        def respond(**fields: Any) -> SdkResponse:
            connection.response.create(model=QUICK, **fields)
            received = SdkResponse()
            for event in connection:
                if received.take(event):
                    break
            return received

        previous = None
        for store in (True, False, False, True):
            received = respond(input=QUESTION, store=store, previous_response_id=previous)
            assert received.last.type == "response.completed"
            assert received.last.response.output_text == received.text != ""
            previous = received.last.response.id
        wrong = respond(input=QUESTION, previous_response_id="resp_7").last
        assert (wrong.status, wrong.error.code) == (404, "previous_response_not_found")
        limited = respond(input=QUESTION, temperature=7).last
        assert (limited.status, limited.error.param) == (400, "temperature")
        assert respond(input=QUESTION).last.type == "response.completed"


async def test_async_sdk_on_asyncio(live: Server) -> None:
    """The SDK's WebSocket support works only with asyncio."""

    async def converse() -> tuple[str, str]:
        url = f"http://127.0.0.1:{live.port}/v1"
        received = SdkResponse()
        async with (
            openai.AsyncOpenAI(base_url=url, api_key="none") as client,
            client.responses.connect() as connection,
        ):
            await connection.response.create(model=QUICK, input=QUESTION)
            async for event in connection:
                if received.take(event):
                    break
        return received.last.type, received.text

    kind, text = await trio.to_thread.run_sync(lambda: asyncio.run(converse()))
    assert kind == "response.completed"
    assert text


async def test_cross_origin_handshake_is_refused(live: Server) -> None:
    foreign = HANDSHAKE.replace(b"\r\n\r\n", b"\r\nOrigin: https://evil.example\r\n\r\n")
    async with open_connection(live) as stream:
        await stream.send_all(foreign)
        assert (await read_to_eof(stream)).startswith(b"HTTP/1.1 403 ")
