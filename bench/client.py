"""One streaming call over a raw socket, timed."""

import asyncio
import time
from typing import cast

import msgspec

from bench.answer import Answer
from bench.httpwire import BadResponse, ResponseReader
from bench.spec import Spec
from bench.surfaces import SURFACES, Name


class Call:
    """One request and what came back. Times are seconds of CLOCK_MONOTONIC."""

    def __init__(
        self, ident: str, spec: Spec, *, stream: bool = True, surface: Name = "chat"
    ) -> None:
        self.ident = ident
        self.spec = spec
        self.stream = stream
        self.answer = Answer(spec, stream=stream, surface=surface)
        self._surface = SURFACES[surface]
        self.started = 0.0
        """Before connecting, where a connection had to be made."""
        self.first_at: float | None = None
        self.first_token = asyncio.Event()
        """Set at the first token, and when the call is over without one."""
        self.ended = asyncio.Event()
        self.turn_id: str | None = None
        self.problem: str | None = None

    @property
    def ttft_ms(self) -> float | None:
        """Time to first token; None if none came."""
        return None if self.first_at is None else (self.first_at - self.started) * 1000

    def payload(self, prefix: str, *, keep_alive: bool) -> bytes:
        """The request's bytes. `prefix` is what a relay wants before the upstream's model name."""
        surface, question = self._surface, f"bench-id={self.ident} Say it."
        model = prefix + self.spec.model
        body = msgspec.json.encode(surface.body(model, question, stream=self.stream))
        head = (
            f"POST {surface.path} HTTP/1.1\r\nhost: bench\r\n"
            "content-type: application/json\r\nauthorization: Bearer sk-bench\r\n"
            f"content-length: {len(body)}\r\n"
            f"connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
        )
        return head.encode() + body

    def receive(self, body: bytes) -> None:
        """Take in bytes of the body."""
        self.answer.feed(body)
        if self.first_at is None and self.answer.chunks:
            self.first_at = time.monotonic()
            self.first_token.set()

    def end(self, problem: str | None = None) -> None:
        """The call is over; `problem`: what went wrong on the wire. A second call is no news."""
        if self.ended.is_set():
            return
        self.answer.end()
        self.problem = problem or self.answer.problem()
        self.first_token.set()
        self.ended.set()


class Connection(asyncio.Protocol):
    """A connection to a relay; carries one call at a time."""

    def __init__(self) -> None:
        self._call: Call | None = None
        self._reader = ResponseReader()
        self.alive = True

    def begin(self, call: Call, payload: bytes) -> None:
        """Send a request; its answer goes to `call`."""
        self._call = call
        self._reader = ResponseReader()
        self._transport.write(payload)

    def close(self) -> float:
        """Hang up at once. Returns the time just before."""
        self._call = None
        now = time.monotonic()
        self._transport.abort()
        return now

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's, only their like.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        call, reader = self._call, self._reader
        if call is None:
            self.alive = False
            return
        try:
            call.receive(reader.feed(data))
        except BadResponse as error:
            self._over(f"bad response: {error}")
            return
        if call.turn_id is None:
            call.turn_id = reader.headers.get("x-turn-id")
        if reader.done:
            self._over(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        ended = self._reader.ends_with_connection and exc is None
        self._over(None if ended else f"connection lost in the answer ({exc or 'closed'})")

    def _over(self, problem: str | None) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        status = self._reader.status
        if status not in (None, 200):
            problem = f"HTTP {status}: {self._reader.headers.get('content-type')}"
        if problem is not None or self._reader.headers.get("connection") == "close":
            self.alive = False
        call.end(problem)


async def connect(port: int) -> Connection:
    """A connection to a relay on the loopback."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    return connection
