"""HTTP/1.1 client on raw sockets that can disconnect by FIN or RST at any point.

h11 parses the responses. Helpers fetch turns, metrics and the simulated provider's reports.
"""

import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import h11
import trio

from tests.support.live.harness import Process, until
from tests.support.live.sse_frames import Frame, read_frames

JSON = dict[str, object]
QUESTION: list[JSON] = [{"role": "user", "content": "Who is on stage?"}]
PIPELINED = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Endpoint(Protocol):
    """The address of a server, or of a proxy in front of it."""

    host: str
    port: int


class Call:
    """One connection for consecutive requests, with the latest response."""

    def __init__(
        self, port: int, *, host: str = "127.0.0.1", receive_buffer: int | None = None
    ) -> None:
        self._socket = trio.socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._at_once = receive_buffer or 65_536
        self._address = host, port
        self._parser = h11.Connection(h11.CLIENT)
        self.body = bytearray()
        """The part of the body received so far."""
        self.complete = False
        """True once the response has ended with its final chunk or full length."""
        self.status = 0
        self.headers: dict[str, str] = {}

    async def connect(self) -> None:
        """Open the TCP connection."""
        await self._socket.connect(self._address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def request(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        pipelined: bytes = b"",
    ) -> None:
        """Send a request, followed by the raw bytes `pipelined` in the same write."""
        parser = self._parser
        fields = [("Host", "localhost"), ("Content-Length", str(len(body))), *headers]
        data = parser.send(h11.Request(method=method, target=target, headers=fields)) or b""
        data += parser.send(h11.Data(data=body)) or b""
        data += parser.send(h11.EndOfMessage()) or b""
        await self._send(data + pipelined)

    async def head(self) -> int:
        """Wait for the response headers and return the status."""
        event = await self._event()
        assert isinstance(event, h11.Response), event
        self.status = event.status_code
        self.headers = {name.decode(): value.decode() for name, value in event.headers}
        return self.status

    async def read_more(self) -> bytes:
        """Return more of the body; `b""` at its end or when the connection breaks."""
        try:
            event = await self._event()
        except (h11.RemoteProtocolError, OSError):
            return b""
        if isinstance(event, h11.Data):
            data = bytes(event.data)
            self.body += data
            return data
        self.complete = isinstance(event, h11.EndOfMessage)
        return b""

    async def read_all(self) -> bytes:
        """Read to the end and return the whole body."""
        while await self.read_more():
            pass
        return bytes(self.body)

    async def frames(self, count: int) -> list[Frame]:
        """Read at least `count` frames, or to the end; may return more than `count`."""
        while len(found := read_frames(bytes(self.body), allow_partial=True)) < count:
            if not await self.read_more():
                break
        return found

    async def all_frames(self) -> list[Frame]:
        """Read a stream to its end and assert that it was not truncated."""
        body = await self.read_all()
        assert self.complete, body[-200:]
        return read_frames(body)

    def reuse(self) -> None:
        """Reset the state so that the connection can carry another request."""
        self._parser.start_next_cycle()
        self.body = bytearray()
        self.complete = False

    def disconnect(self, how: str = "fin") -> float:
        """Close by `fin` or `rst` and return the CLOCK_MONOTONIC time just before."""
        if how == "rst":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        left_at = time.monotonic()
        self._socket.close()
        return left_at

    @property
    def turn_id(self) -> str:
        """The id of the turn that this response belongs to."""
        return self.headers["x-turn-id"]

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._parser.next_event()) is h11.NEED_DATA:
            self._parser.receive_data(await self._socket.recv(self._at_once))
        return event

    async def _send(self, data: bytes) -> None:
        while data:
            data = data[await self._socket.send(data) :]


@asynccontextmanager
async def calling(
    port: int, *, host: str = "127.0.0.1", receive_buffer: int | None = None
) -> AsyncIterator[Call]:
    """Open a connection that is closed on exit."""
    call = Call(port, host=host, receive_buffer=receive_buffer)
    try:
        await call.connect()
        yield call
    finally:
        call.disconnect()


@asynccontextmanager
async def open_chat(
    server: Endpoint,
    model: str,
    *,
    stream: bool = True,
    pipelined: bytes = b"",
    receive_buffer: int | None = None,
    **parameters: object,
) -> AsyncIterator[Call]:
    """Request a chat completion without reading any of the response."""
    body = {"model": model, "messages": QUESTION, "stream": stream, **parameters}
    async with calling(server.port, host=server.host, receive_buffer=receive_buffer) as call:
        json_type = (("Content-Type", "application/json"),)
        await call.request(
            "POST", "/v1/chat/completions", json.dumps(body).encode(), json_type, pipelined
        )
        yield call


@asynccontextmanager
async def open_turn_events(
    server: Process, turn_id: str, *, last_id: str | None = None, after: str | None = None
) -> AsyncIterator[Call]:
    """Request a turn's events from `Last-Event-ID: last_id` or `?starting_after=after` on."""
    target = f"/v1/turns/{turn_id}/events" + (f"?starting_after={after}" if after else "")
    async with calling(server.port, host=server.host) as call:
        await call.request("GET", target, headers=(("Last-Event-ID", last_id),) if last_id else ())
        await call.head()
        yield call


async def fetch(server: Process, target: str, method: str = "GET") -> tuple[int, JSON]:
    """Send one request on a new connection; return the status and the JSON document."""
    async with calling(server.port, host=server.host) as call:
        await call.request(method, target)
        status = await call.head()
        document = json.loads(await call.read_all())
    assert isinstance(document, dict)
    return status, document


async def turn(server: Process, turn_id: str) -> JSON:
    """Return a turn as `GET /v1/turns/{id}` shows it."""
    status, document = await fetch(server, f"/v1/turns/{turn_id}")
    assert status == 200, document
    return document


async def ended_turn(server: Process, turn_id: str) -> JSON:
    """Wait until a turn has ended and return it."""

    async def look() -> JSON | None:
        found = await turn(server, turn_id)
        return found if found["ended_at"] is not None else None

    found = await until(look)
    assert found is not None
    return found


async def all_turns(server: Process) -> list[JSON]:
    """Return every stored turn, newest first."""
    found: list[JSON] = []
    target = "/v1/turns?limit=100"
    while True:
        _, page = await fetch(server, target)
        assert isinstance(page["data"], list)
        found += page["data"]
        if page["next"] is None:
            return found
        target = f"/v1/turns?limit=100&cursor={page['next']}"


async def reports(witness: Process, id: str = "") -> list[JSON]:
    """Return the simulated provider's reports of the requests of one user, or of all."""
    _, document = await fetch(witness, f"/witness?id={id}" if id else "/witness")
    requests = document["requests"]
    assert isinstance(requests, list)
    return requests


async def metrics(server: Process) -> dict[str, float]:
    """Return every sample of `/metrics` by name and labels."""
    async with calling(server.port, host=server.host) as call:
        await call.request("GET", "/metrics")
        await call.head()
        text = (await call.read_all()).decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def live_turns(server: Process) -> int:
    """Return the number of running turns."""
    samples = await metrics(server)
    return int(sum(v for name, v in samples.items() if name.startswith("trouper_live_turns{")))
