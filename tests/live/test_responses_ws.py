"""Responses over a WebSocket on real connections: conversations, faults, limits, and the end."""

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

from tests.live import harness
from tests.live.client import JSON, fetch, live_turns, reports, turn
from tests.live.harness import Process, Server, until
from tests.live.socketing import (
    QUESTION,
    LiveSocket,
    connected,
    conversing,
    shaken,
    text_in,
)
from tests.live.test_handoff import restart
from tests.web.socket_client import HANDSHAKE, masked

QUICK = "up/v:first=0,delay=1ms,tokens=20"
SLOW = "up/v:delay=20ms,tokens=500"
LIMIT = 100_000
STALL_S = 3.0
NOT_FOUND = (404, "previous_response_not_found", "previous_response_id")
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """A server with small limits."""
    directory = tmp_path_factory.mktemp("narrow")
    limits = f"[limits]\nbody_bytes = {LIMIT}\nwrite_stall_s = {STALL_S}\n[timeouts]\nidle_s = 120"
    config = harness.write_config(
        directory, upstream.port, f"grace_s = 0\ndrain_s = 1\n{limits}\n[turns]\nheartbeat_s = 1\n"
    )
    with harness.serving(directory, config) as server:
        yield server


async def ended(server: Process, response_id: str) -> JSON:
    """The record of a response, once there is one."""

    async def look() -> JSON | None:
        found = await turn(server, "turn_" + response_id.removeprefix("resp_"))
        return found if found["ended_at"] else None

    found = await until(look)
    assert found is not None
    return found


@pytest.mark.parametrize("store", [True, False])
async def test_many_responses_on_one_socket(live: Server, store: bool) -> None:
    async with conversing(live, QUICK) as socket:
        response = await socket.respond(store=store)
        for _ in range(30):
            before = response
            response = await socket.respond(previous_response_id=before["id"], store=store)
            assert response["previous_response_id"] == before["id"]
            tokens = response["usage"]["input_tokens"]
            assert tokens >= before["usage"]["total_tokens"] + 4, "all of it is shown again"
        status, document = await fetch(live, f"/v1/responses/{response['id']}")
        if store:
            assert document == response
        else:
            assert status == 404
        async with conversing(live, QUICK) as other:
            await other.create(previous_response_id=response["id"])
            if store:
                await other.hear_all()
            else:
                assert await other.error() == NOT_FOUND


async def test_a_tool_is_called_and_its_result_heard(live: Server) -> None:
    async with conversing(live, "up/v:first=0,delay=0,tool") as socket:
        first = await socket.respond(tools=[WEATHER], store=False)
        (call,) = [item for item in first["output"] if item["type"] == "function_call"]
        assert json.loads(call["arguments"]).keys() == {"city"}
        given = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
        second = await socket.respond(
            input=[given], previous_response_id=first["id"], tools=[WEATHER], store=False
        )
        assert text_in(second).startswith("The tool says: sunny")


async def test_cancelling_closes_upstream_at_once(live: Server, upstream: Process) -> None:
    async with conversing(live, SLOW) as socket:
        await socket.create(user="cancels")
        said = await socket.hear_text(3)
        cancelled_at = time.monotonic()
        await socket.say({"type": "response.cancel"})
        failed = await socket.hear_until("response.failed")
        assert failed["response"]["status"] == "cancelled"
        assert text_in(failed["response"]).startswith(said)
        (report,) = await reports(upstream, "cancels")
        assert isinstance(report["closed_at"], float)
        assert report["closed_at"] - cancelled_at < 0.1
        found = await ended(live, failed["response"]["id"])
        assert (found["status"], found["reason"]) == ("cancelled", "cancel_requested")
        again = await socket.respond(model=QUICK, previous_response_id=failed["response"]["id"])
        assert again["status"] == "completed"


async def test_a_second_response_has_to_wait(live: Server) -> None:
    async with conversing(live, "up/v:delay=10ms,tokens=60") as socket:
        await socket.create()
        begun = [await socket.hear() for _ in range(8)]
        for _ in range(5):
            await socket.create()
            heard, error = [], await socket.hear()
            while error["type"] != "error":
                heard.append(error)
                error = await socket.hear()
            begun += heard
            assert error["error"]["code"] == "response_in_progress"
        whole = await socket.hear_all(begun)
        assert whole[-1]["response"]["status"] == "completed"
        await socket.respond(model=QUICK)


async def neighbour(server: Server, told: list[str], begun: trio.Event) -> None:
    """Converse meanwhile."""
    async with conversing(server, "up/v:first=0,delay=10ms,tokens=60") as socket:
        await socket.create()
        await socket.hear_text(1)
        begun.set()
        told.append((await socket.hear_until("response.completed"))["response"]["status"])


def framed(opcode: int, payload: bytes) -> bytes:
    """A whole message as a client frames it."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xff" + length.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + size + b"\x00" * 4 + payload


BROKEN = {
    "bad UTF-8": (framed(1, b'{"type":"\xff"}'), 1007),
    "unmasked": (b"\x81\x02hi", 1002),
    "reserved bits": (b"\xf1\x80\x00\x00\x00\x00", 1002),
    "an opcode that there is not": (framed(3, b""), 1002),
    "half a character": (framed(1, "€".encode()[:2]), 1007),
    "too long": (framed(1, b"x" * (LIMIT + 1)), 1009),
    "too long, binary": (framed(2, b"x" * (LIMIT + 1)), 1009),
    "much too long": (b"\x81\xff" + (1 << 40).to_bytes(8, "big") + b"\x00" * 2_000_000, 1009),
    "too long, in many frames": (
        b"\x01\x80\x00\x00\x00\x00" + (b"\x00\xfe\x27\x10" + b"\x00" * 4 + b"x" * 10_000) * 11,
        1009,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_frames_close_one_socket(narrow: Server, name: str) -> None:
    frames, code = BROKEN[name]
    told: list[str] = []
    begun = trio.Event()
    with trio.fail_after(15):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(neighbour, narrow, told, begun)
            await begun.wait()
            async with shaken(narrow) as stream:
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(frames)
                assert code.to_bytes(2, "big") in await rest_of(stream)
    assert told == ["completed"]
    assert not narrow.logged("connection_failed")


async def rest_of(stream: trio.SocketStream) -> bytes:
    """What comes up to the end, however that comes."""
    got = b""
    with suppress(trio.BrokenResourceError):
        while data := await stream.receive_some():
            got += data
    return got


@pytest.mark.parametrize("message", ["garbage", "{}", "[]", b"binary", b"\xff\x00", "x" * 90_000])
async def test_what_is_no_event_is_an_error(narrow: Server, message: str | bytes) -> None:
    async with conversing(narrow, QUICK) as socket:
        await socket.say(message)
        assert (await socket.error())[0] == 400
        await socket.respond()


async def test_a_message_may_be_as_long_as_a_body(narrow: Server) -> None:
    async with conversing(narrow, QUICK) as socket:
        await socket.respond(input="Who? " * (LIMIT // 5 - 100))


async def test_a_flood_while_a_response_is_told_is_bounded(narrow: Server) -> None:
    """The errors are not read, so that the messages cannot be: then there is no room for more."""
    create = masked(json.dumps({"type": "response.create", "model": "up/v:stall=1", "input": "a"}))
    async with shaken(narrow, receive_buffer=4096) as stream:
        await stream.send_all(create)
        sent_at = time.monotonic()
        with suppress(trio.BrokenResourceError):
            while time.monotonic() < sent_at + 20:
                await stream.send_all(create * 100)
            pytest.fail("it took everything")
    await until(lambda: nobody_plays(narrow))
    async with conversing(narrow, QUICK) as socket:
        await socket.respond()


async def nobody_plays(server: Server) -> bool:
    return await live_turns(server) == 0


async def test_who_does_not_read_is_cut_off(narrow: Server, upstream: Process) -> None:
    create = {
        "type": "response.create",
        "model": "up/v:first=0,delay=1ms,tokens=100000",
        "input": QUESTION,
        "user": "stalls",
    }
    async with shaken(narrow, receive_buffer=8192) as stream:
        await stream.send_all(framed(1, json.dumps(create).encode()))
        stalls_at = time.monotonic()

        async def look() -> JSON | None:
            found = await reports(upstream, "stalls")
            return found[0] if found and found[0]["closed_at"] is not None else None

        report = await until(look, within_s=30)
    assert report is not None
    assert isinstance(report["closed_at"], float)
    assert abs(report["closed_at"] - stalls_at - STALL_S) < 2
    assert narrow.logged("write_stalled")


async def test_a_silent_socket_is_kept_by_pings(narrow: Server) -> None:
    async with shaken(narrow) as stream:
        began = time.monotonic()
        pings = b""
        while len(pings) < 8:
            pings += await stream.receive_some()
        assert pings == b"\x89\x00" * (len(pings) // 2)
        assert 2 < time.monotonic() - began < 5


async def test_sigterm_closes_sockets_when_nothing_is_told_on_them(
    tmp_path: Path, upstream: Process
) -> None:
    config = harness.write_config(tmp_path, upstream.port, "grace_s = 1\ndrain_s = 20\n")
    with harness.serving(tmp_path, config) as server:
        async with (
            conversing(server, "up/v:delay=20ms,tokens=120") as busy,
            conversing(server, QUICK) as idle,
            conversing(server, QUICK) as late,
        ):
            await busy.create()
            await busy.hear_text(3)
            server.signal(signal.SIGTERM)
            await until(lambda: draining(server))
            await late.create()
            assert await late.error() == (503, "draining", None)
            assert await late.closed() == 1001
            await check_refused(server)
            began = time.monotonic()
            assert await idle.closed() == 1001
            assert time.monotonic() - began < 2
            assert (await busy.hear_until("response.completed"))["type"]
            assert await busy.closed() == 1001
        assert await server.ended() == 0
        assert server.rows("SELECT status, reason FROM turns") == [("completed", "stop")]


async def draining(server: Server) -> bool:
    return bool(server.logged("draining"))


async def check_refused(server: Server) -> None:
    """Whoever comes now is told so in the answer to its handshake."""
    async with connected(server) as stream:
        await stream.send_all(HANDSHAKE)
        answer = await rest_of(stream)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"draining"' in answer


async def test_out_of_time_a_response_ends_and_says_so(tmp_path: Path, upstream: Process) -> None:
    config = harness.write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 0.3\n")
    with harness.serving(tmp_path, config) as server:
        async with conversing(server, SLOW) as socket:
            await socket.create()
            await socket.hear_text(3)
            server.signal(signal.SIGTERM)
            failed = await socket.hear_until("response.failed")
            assert "server_shutdown" in failed["response"]["error"]["message"]
            assert await socket.closed() == 1001
        assert await server.ended() == 0
        assert server.rows("SELECT status, reason FROM turns") == [
            ("incomplete", "server_shutdown")
        ]


async def test_sockets_that_stall_do_not_delay_a_second_signal(
    tmp_path: Path, upstream: Process
) -> None:
    config = harness.write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 60\n")
    create = {"type": "response.create", "model": "up/v:delay=0,tokens=100000", "input": QUESTION}
    with harness.serving(tmp_path, config) as server:
        async with shaken(server, receive_buffer=8192) as stream:
            await stream.send_all(framed(1, json.dumps(create).encode()))
            await until(lambda: somebody_plays(server))
            server.signal(signal.SIGTERM)
            await until(lambda: draining(server))
            server.signal(signal.SIGTERM)
            began = time.monotonic()
            assert await server.ended() == 0
            assert time.monotonic() - began < 5
    assert server.rows("SELECT count(*) FROM turns WHERE ended_at IS NULL") == [(0,)]


async def somebody_plays(server: Server) -> bool:
    return await live_turns(server) > 0


class Talker:
    """A client that talks on, on a new socket where the server has gone away from the old one."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._previous: str | None = None
        self.answered: list[str] = []
        self.sent_off: list[int | None] = []
        """The codes with which its sockets were closed."""

    async def talk(self, enough: trio.Event) -> None:
        """Ask again and again."""
        while not enough.is_set():
            async with conversing(self._server, "up/v:first=10ms,delay=5ms,tokens=20") as socket:
                while not enough.is_set() and await self._ask(socket):
                    pass

    async def _ask(self, socket: LiveSocket) -> bool:
        """Whether the socket lives; what was asked when it did no more has not begun."""
        try:
            await socket.create(previous_response_id=self._previous)
            first = await socket.hear()
        except ConnectionClosed as closed:
            self.sent_off.append(closed.reason.code if closed.reason else None)
            return False
        response = (await socket.hear_all([first]))[-1]["response"]
        assert response["status"] == "completed"
        self.answered.append(response["id"])
        self._previous = response["id"] if len(self.answered) % 20 else None
        return True


async def _all_talk(talkers: list[Talker]) -> bool:
    return all(talker.answered for talker in talkers)


async def test_a_rolling_restart_breaks_off_no_response(tmp_path: Path, upstream: Process) -> None:
    config = harness.write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 30\n")
    with harness.serving(tmp_path, config, options=["--supervise", "1"]) as server:
        talkers, enough = [Talker(server) for _ in range(8)], trio.Event()
        async with conversing(server, QUICK) as idle, trio.open_nursery() as nursery:
            for talker in talkers:
                nursery.start_soon(talker.talk, enough)
            await until(lambda: _all_talk(talkers))
            await restart(server)
            assert await idle.closed() == 1001
            await restart(server)
            enough.set()
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0
        rows = server.rows("SELECT id, status, reason FROM turns")
    assert all(set(talker.sent_off) == {1001} for talker in talkers)
    answered = ["turn_" + id.removeprefix("resp_") for t in talkers for id in t.answered]
    assert sorted(answered) == sorted(str(row[0]) for row in rows)
    assert {row[1:] for row in rows} == {("completed", "stop")}


class Heard:
    """What the SDK hears of one response."""

    def __init__(self) -> None:
        self.text = ""
        self.last: Any = None

    def take(self, event: ResponsesServerEvent) -> bool:
        """Whether this was the last event."""
        if event.type == "response.output_text.delta":
            self.text += event.delta
        self.last = event
        return event.type in ("response.completed", "response.failed", "error")


@pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager")
def test_the_sdk_converses(live: Server) -> None:
    with (
        openai.OpenAI(base_url=f"http://127.0.0.1:{live.port}/v1", api_key="none") as client,
        client.responses.connect() as connection,
    ):

        def respond(**fields: Any) -> Heard:
            connection.response.create(model=QUICK, **fields)
            heard = Heard()
            for event in connection:
                if heard.take(event):
                    break
            return heard

        previous = None
        for store in (True, False, False, True):
            heard = respond(input=QUESTION, store=store, previous_response_id=previous)
            assert heard.last.type == "response.completed"
            assert heard.last.response.output_text == heard.text != ""
            previous = heard.last.response.id
        wrong = respond(input=QUESTION, previous_response_id="resp_7").last
        assert (wrong.status, wrong.error.code) == (404, "previous_response_not_found")
        limited = respond(input=QUESTION, temperature=7).last
        assert (limited.status, limited.error.param) == (400, "temperature")
        assert respond(input=QUESTION).last.type == "response.completed"


async def test_the_sdk_in_an_event_loop(live: Server) -> None:
    """Of asyncio: there is no other that its sockets know."""

    async def converse() -> tuple[str, str]:
        url = f"http://127.0.0.1:{live.port}/v1"
        heard = Heard()
        async with (
            openai.AsyncOpenAI(base_url=url, api_key="none") as client,
            client.responses.connect() as connection,
        ):
            await connection.response.create(model=QUICK, input=QUESTION)
            async for event in connection:
                if heard.take(event):
                    break
        return heard.last.type, heard.text

    kind, text = await trio.to_thread.run_sync(lambda: asyncio.run(converse()))
    assert kind == "response.completed"
    assert text


async def test_a_page_of_another_site_is_refused(live: Server) -> None:
    foreign = HANDSHAKE.replace(b"\r\n\r\n", b"\r\nOrigin: https://evil.example\r\n\r\n")
    async with connected(live) as stream:
        await stream.send_all(foreign)
        assert (await rest_of(stream)).startswith(b"HTTP/1.1 403 ")
