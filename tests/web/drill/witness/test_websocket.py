"""The simulated provider over WebSockets: it behaves as in process, in memory and virtual time."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter
from trio.testing import MockClock, memory_stream_one_way_pair, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from actors.ports import Provider
from actors.providers.http.connection import Wire
from actors.providers.responses_websocket import open_responses_ws
from actors.providers.simulated import Scenario, SimulatedProvider
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.model_call import ModelCall
from tests.support.provider_answers import facts_of, receive_all
from tests.support.responses_readers import DOCUMENTED
from tests.support.strict_types import assert_known
from tests.support.websocket_memory import Stream, StreamWire
from tests.web.drill.witness.test_connection import MemoryEndpoint
from web.drill.witness.connection import handle
from web.drill.witness.http1 import Request
from web.drill.witness.observations import Witness, WitnessEvent
from web.drill.witness.simulation import Simulation
from web.drill.witness.websocket import SocketTransport

EVENT: TypeAdapter[ResponsesServerEvent] = TypeAdapter(ResponsesServerEvent)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {}}}}}
HI: list[dict[str, object]] = [{"role": "user", "content": "Hi"}]
FAULTS = [
    *("error=400", "error=401", "error=503", "429", "429=2", "context", "policy", "oops", "refuse"),
    *("cut=3", "cut=0", "break=3", "reset=3", "end=3", "end=0", "errorframe=3", "noise=3"),
    *("errorframe=0,code=late", "torn=3", "badjson=3", "nodone", "hang", "hang,nousage"),
]
ANSWERS = [
    *("tokens=30", "unicode", "reasoning=3", "refusal", "tool", "tool=2,chunk=3", "filter=3"),
    *("chunk=4", "nousage", "echo", "head=20ms,first=20ms,delay=1ms", "tokens=500,delay=0"),
]
UNSTARTED = ("cut=0", "end=0", "refuse")
"""Faults before any event; over a WebSocket no answer has started at that point."""


class SocketSimulation:
    """A simulation that accepts connections in memory."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.witness_events: list[WitnessEvent] = []
        self.witness = Witness(self.witness_events.append, clock=trio.current_time)
        self._simulation = Simulation(Scenario(), self.witness)

    async def connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> Wire:
        """Open a connection for the provider."""
        return StreamWire(self.stream())

    def stream(self) -> Stream:
        """Open a connection and return the client's end."""
        to_server, incoming = memory_stream_one_way_pair()
        outgoing, from_server = memory_stream_one_way_pair()
        endpoint = MemoryEndpoint(incoming, outgoing)
        self._nursery.start_soon(handle, endpoint, self._simulation)
        return trio.StapledStream(to_server, from_server)

    async def client(self, path: str = "/v1/responses") -> WebSocketConnection:
        """Open a socket with an independent client, trio-websocket."""
        stream = self.stream()
        return await wrap_client_stream(self._nursery, stream, "x", path)  # type: ignore[arg-type]


@asynccontextmanager
async def open_simulation() -> AsyncIterator[SocketSimulation]:
    async with trio.open_nursery() as nursery:
        yield SocketSimulation(nursery)
        nursery.cancel_scope.cancel()


async def answer_of(provider: Provider, call: ModelCall) -> tuple[dict[str, object], object]:
    """Return the content of an answer and the facts of its failure, if any."""
    chunks, failure = await receive_all(provider, call)
    return summed(chunks), facts_of(failure)


def summed(chunks: list[Chunk]) -> dict[str, object]:
    """Return the content of an answer, independent of its division into chunks."""
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        if isinstance(chunk, ToolCallChunk):
            known = calls.setdefault(chunk.index, [chunk.id or "", chunk.name or "", ""])
            known[2] += chunk.arguments
    texts = {
        kind.__name__: "".join(chunk.text for chunk in chunks if isinstance(chunk, kind))
        for kind in (TextChunk, ReasoningChunk, RefusalChunk)
    }
    return {
        **texts,
        "calls": calls,
        "usage": [chunk for chunk in chunks if isinstance(chunk, UsageChunk)],
        "finish": [chunk for chunk in chunks if isinstance(chunk, FinishChunk)],
        "skipped": sum(isinstance(chunk, SkippedChunk) for chunk in chunks),
    }


@pytest.mark.parametrize("settings", [*ANSWERS, *FAULTS])
async def test_answer_equals_the_one_in_process(autojump_clock: MockClock, settings: str) -> None:
    voice = f"sim:{settings}" if "delay" in settings else f"sim:first=0,delay=2ms,{settings}"
    messages: list[dict[str, object]] = [{"role": "user", "content": "Who is on stage?"}]
    call = ModelCall(
        upstream_model=voice, messages=read_messages(messages), parameters={"tools": [TOOL]}
    )
    async with open_simulation() as simulation:
        opened = open_responses_ws("s", "http://up/v1", None, connect=simulation.connect)
        async with opened as provider:
            over_socket = await answer_of(provider, call)
    in_process = await answer_of(SimulatedProvider("s"), call)
    if settings in UNSTARTED:
        assert over_socket[1] == ("refused", None, None, None, None, None)
    else:
        assert over_socket == in_process


@pytest.mark.parametrize("settings", ["html", "html=502", "garbage"])
async def test_http_faults_refuse_the_connection(autojump_clock: MockClock, settings: str) -> None:
    call = ModelCall(upstream_model=f"sim:{settings}", messages=read_messages(HI), parameters={})
    async with open_simulation() as simulation:
        opened = open_responses_ws("s", "http://up/v1", None, connect=simulation.connect)
        async with opened as provider:
            _, failure = await answer_of(provider, call)
    assert failure == ("refused", None, None, None, None, None)
    assert simulation.witness.reports()[0].how == settings.partition("=")[0]


def create(model: str, **fields: object) -> str:
    return json.dumps({"type": "response.create", "model": model, "input": "?", **fields})


async def events(socket: WebSocketConnection) -> list[ResponsesServerEvent]:
    """Return the events up to the end of an answer, each validated by the SDK's types."""
    got: list[ResponsesServerEvent] = []
    last = ("response.completed", "response.incomplete", "response.failed", "error")
    while not got or got[-1].type not in last:
        event: ResponsesServerEvent = EVENT.validate_json(await socket.get_message(), strict=True)
        assert_known(event, DOCUMENTED)
        got.append(event)
    return got


async def test_events_are_accepted_by_the_sdk(autojump_clock: MockClock) -> None:
    tool = {"type": "function", "name": "f", "parameters": {}, "strict": True}
    async with open_simulation() as simulation:
        socket = await simulation.client()
        for settings in ("reasoning=3,tool=2", "refusal", "filter=3", "errorframe=3"):
            await socket.send_message(create(f"sim:{settings}", tools=[tool]))
            assert (await events(socket))[0].type == "response.created"
        assert [event.type for event in await events(socket)] == ["response.failed"]
        await socket.send_message(create("sim:429=2"))
        assert [event.type for event in await events(socket)] == ["error"]
        reports = simulation.witness.reports()
    assert [report.how for report in reports] == [
        "complete",
        "complete",
        "complete",
        "errorframe",
        "rejected",
    ]
    assert all(report.stream for report in reports)


@pytest.mark.parametrize(
    ("message", "param", "complaint"),
    [
        ("{", None, "JSON"),
        ("[]", None, "JSON"),
        ("[" * 100_000, None, "JSON"),
        ('{"type":"response.cancel"}', "type", "response.create"),
        ('{"type":"response.create"}', "model", "model: field required"),
        ('{"type":"response.create","model":"sim"}', "input", "input: field required"),
    ],
)
async def test_invalid_message_is_an_error_and_the_socket_stays_open(
    autojump_clock: MockClock, message: str, param: str | None, complaint: str
) -> None:
    async with open_simulation() as simulation:
        socket = await simulation.client()
        await socket.send_message(message)
        (error,) = await events(socket)
        assert error.type == "error"
        assert (error.status, error.error.param) == (400, param)
        assert complaint in error.error.message
        await socket.send_message(create("sim").encode())
        assert (await events(socket))[-1].type == "response.completed"


@pytest.mark.parametrize("how", ["fin", "goodbye"])
@pytest.mark.parametrize("model", ["sim:silent", "sim:stall=0", "sim:count,tokens=5000"])
async def test_disconnect_is_seen_at_once(autojump_clock: MockClock, model: str, how: str) -> None:
    async with open_simulation() as simulation:
        socket = await simulation.client()
        await socket.send_message(create(model, user="leaver"))
        await trio.sleep(1)
        if how == "fin":
            await socket._stream.aclose()
        else:
            await socket.aclose()
        await wait_all_tasks_blocked()
        (report,) = simulation.witness.reports("leaver")
        assert report.closed_at == 1.0
        assert report.ended_at is None


async def test_pings_and_close_frames_are_answered(autojump_clock: MockClock) -> None:
    async with open_simulation() as simulation:
        socket = await simulation.client()
        with trio.fail_after(1):
            await socket.ping(b"?")
        await socket.send_message(create("sim:count,tokens=100,delay=10ms"))
        with trio.fail_after(0.5):
            await socket.get_message()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(events, socket)
            with trio.fail_after(0.5):
                await socket.ping(b"and while you speak?")
        with trio.fail_after(1):
            await socket.aclose(4000, "enough")
        with pytest.raises(ConnectionClosed):
            await socket.get_message()


async def test_other_paths_do_not_upgrade(autojump_clock: MockClock) -> None:
    async with open_simulation() as simulation:
        stream = simulation.stream()
        head = (
            b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await stream.send_all(head)
        assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 200 OK")


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_are_handled(pieces: list[bytes]) -> None:
    incoming, outgoing = memory_stream_one_way_pair()[1], memory_stream_one_way_pair()[0]
    handshake = Request("GET", "/v1/responses", "", {}, b"")
    transport = SocketTransport(MemoryEndpoint(incoming, outgoing), handshake, b"")
    is_open = True
    for piece in pieces:
        is_open = is_open and transport.keep(piece)
    assert transport.data(b"event: x\ndata: {}\n\n").endswith((b"\x81\x02{}", b""))
