"""HTTP client of the load generator: timed calls over raw sockets."""

import asyncio
import time
from typing import cast

import msgspec

from bench.answer import Answer
from bench.httpwire import BadResponse, ResponseReader
from bench.spec import Spec
from bench.surfaces import SURFACES, Name


class Call:
    """One request and its response. Times are seconds of CLOCK_MONOTONIC."""

    def __init__(
        self, ident: str, spec: Spec, *, stream: bool = True, surface: Name = "chat"
    ) -> None:
        self.ident = ident
        self.spec = spec
        self.stream = stream
        self.answer = Answer(spec, stream=stream, surface=surface)
        self._surface = SURFACES[surface]
        self.started = 0.0
        """Start time; includes connecting if no connection was open."""
        self.first_at: float | None = None
        self.first_token = asyncio.Event()
        """Set at the first token, or when the call ends without one."""
        self.ended = asyncio.Event()
        self.turn_id: str | None = None
        self.problem: str | None = None

    @property
    def ttft_ms(self) -> float | None:
        """Time to first token in milliseconds; None if there was none."""
        return None if self.first_at is None else (self.first_at - self.started) * 1000

    def payload(self, prefix: str, *, keep_alive: bool) -> bytes:
        """Return the request as bytes. `prefix` is put before the upstream's model name."""
        surface, question = self._surface, f"bench-id={self.ident} Say it."
        model = prefix + self.spec.model
        body = msgspec.json.encode(surface.body(model, question, stream=self.stream))
        head = (
            f"POST {surface.path} HTTP/1.1\r\nhost: localhost\r\n"
            "content-type: application/json\r\nauthorization: Bearer sk-bench\r\n"
            f"content-length: {len(body)}\r\n"
            f"connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
        )
        return head.encode() + body

    def receive(self, body: bytes) -> None:
        """Process bytes of the response body."""
        self.answer.feed(body)
        if self.first_at is None and self.answer.chunks:
            self.first_at = time.monotonic()
            self.first_token.set()

    def end(self, problem: str | None = None) -> None:
        """End the call. `problem` describes a failure of the connection or of HTTP.

        Later calls of this method are ignored.
        """
        if self.ended.is_set():
            return
        self.answer.end()
        self.problem = problem or self.answer.problem()
        self.first_token.set()
        self.ended.set()


class Connection(asyncio.Protocol):
    """A connection to a relay that carries one call at a time."""

    def __init__(self) -> None:
        self._call: Call | None = None
        self._reader = ResponseReader()
        self.alive = True

    def begin(self, call: Call, payload: bytes) -> None:
        """Send a request whose response is passed to `call`."""
        self._call = call
        self._reader = ResponseReader()
        self._transport.write(payload)

    def close(self) -> float:
        """Abort the connection. Return the time just before that."""
        self._call = None
        now = time.monotonic()
        self._transport.abort()
        return now

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # `cast`, because uvloop's transports are not subclasses of asyncio's.
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
    """Connect to a relay on the loopback interface."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    return connection
