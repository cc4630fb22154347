"""Mock upstream and witness, in a process of its own: `python -m bench.upstream`.

It answers `POST …/chat/completions` as the model's name asks (`bench.spec`), and remembers for each
request how many tokens it sent and when it saw the connection's end, by CLOCK_MONOTONIC, which all
processes of a machine share. `GET /seen/<id>` answers once request `<id>` has arrived,
`GET /gone/<id>` once it is over; both with its record. It prints its port, and ends with its stdin.
"""

import argparse
import asyncio
import re
import sys
import time
from collections.abc import Callable
from typing import cast
from zlib import crc32

import msgspec
from msgspec import Struct

from bench.frames import STREAM_HEAD, Frames, http_answer, role, tail, whole
from bench.loops import run
from bench.spec import Spec, parse

_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_IDENT = re.compile(rb"bench-id=([\w-]+)")
_STREAM = re.compile(rb'"stream":\s*true')
_KEPT = 50_000
"""Records kept; older ones are forgotten."""


class Record(Struct, kw_only=True):
    """What the witness saw of one request; times in seconds of CLOCK_MONOTONIC."""

    id: str
    arrived: float
    sent: int = 0
    """Tokens handed to the socket."""
    finished: bool = False
    """The whole answer was handed to the socket."""
    closed: float | None = None
    """When the relay's end of the connection was seen, for an answer that was not finished."""


class Witness:
    """All records, and who waits for one of them."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.open = 0
        self._waiting: dict[tuple[str, str], list[Callable[[Record], None]]] = {}

    def arrive(self, ident: str) -> Record:
        """Begin the record of a request."""
        record = self.records[ident] = Record(id=ident, arrived=time.monotonic())
        if len(self.records) > _KEPT:
            del self.records[next(iter(self.records))]
        self.open += 1
        self._tell("seen", record)
        return record

    def over(self, record: Record) -> None:
        """The record will not change any more."""
        self.open -= 1
        self._tell("gone", record)

    def when(self, what: str, ident: str, tell: Callable[[Record], None]) -> None:
        """Call `tell` once `ident` has been `seen` or is `gone`, perhaps at once."""
        record = self.records.get(ident)
        over = record is not None and (record.finished or record.closed is not None)
        if record is not None and (what == "seen" or over):
            tell(record)
        else:
            self._waiting.setdefault((what, ident), []).append(tell)

    def _tell(self, what: str, record: Record) -> None:
        for tell in self._waiting.pop((what, record.id), ()):
            tell(record)


class Answering:
    """One answer on its way."""

    def __init__(
        self, transport: asyncio.Transport, frames: Frames, spec: Spec, record: Record, stream: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._frames = frames
        self._spec = spec
        self._stream = stream
        self._timer: asyncio.Handle | None = None
        self._next = 0.0
        self._paused = False
        self._stopped = False
        self.record = record
        self.on_end: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Send the head now or after its delay."""
        wait = self._spec.head if self._stream else self._spec.head + self._spec.first
        self._after(wait, self._head if self._stream else self._whole)

    def stop(self) -> None:
        """The connection is gone: send nothing more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def pause(self, paused: bool) -> None:
        """The socket is full, or has room again."""
        self._paused = paused
        if not paused and not self._spec.delay and self.record.sent:
            self._timer = self._loop.call_soon(self._flood)

    def _after(self, wait_ms: int, step: Callable[[], None]) -> None:
        if wait_ms:
            self._timer = self._loop.call_later(wait_ms / 1000, step)
        else:
            step()

    def _whole(self) -> None:
        self._transport.write(whole(self._spec))
        self.record.sent = self._spec.chunks
        self._end()

    def _head(self) -> None:
        if self._spec.first:
            self._transport.write(STREAM_HEAD)
            self._after(self._spec.first, lambda: self._first(b""))
        else:
            self._first(STREAM_HEAD)

    def _first(self, head: bytes) -> None:
        self._transport.write(head + role() + self._take(1))
        # Streams that begin together must not tick together: each has a phase of its own.
        phase = crc32(self.record.id.encode()) / 2**32
        self._next = self._loop.time() + self._spec.delay / 1000 * phase
        self._go_on()

    def _go_on(self) -> None:
        if self.record.sent >= self._spec.chunks:
            self._transport.write(tail(self._spec.chunks))
            self._end()
        elif self._spec.delay:
            self._timer = self._loop.call_at(self._next, self._tick)
        else:
            self._timer = self._loop.call_soon(self._flood)

    def _tick(self) -> None:
        late = int((self._loop.time() - self._next) * 1000 / self._spec.delay)
        due = min(1 + max(late, 0), self._spec.chunks - self.record.sent)
        self._transport.write(self._take(due))
        self._next += self._spec.delay * due / 1000
        self._go_on()

    def _flood(self) -> None:
        if self._paused or self._stopped or self.record.finished:
            return
        spec = self._spec
        data, self.record.sent = self._frames.block(spec.seed, self.record.sent, spec.chunks)
        self._transport.write(data)
        self._go_on()

    def _take(self, count: int) -> bytes:
        start = self.record.sent
        self.record.sent = start + count
        return self._frames.tokens(self._spec.seed, start, start + count)

    def _end(self) -> None:
        self.record.finished = True
        self.on_end()


class Connection(asyncio.Protocol):
    """One connection of a relay, or of somebody who asks the witness."""

    def __init__(self, witness: Witness, frames: Frames) -> None:
        self._witness = witness
        self._frames = frames
        self._buffer = b""
        self._answering: Answering | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's, only their like.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._answering is None and (request := self._next_request()):
            self._dispatch(*request)

    def _next_request(self) -> tuple[bytes, bytes] | None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        length = int(found[1]) if (found := _LENGTH.search(head)) else 0
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        return head, rest[:length]

    def _dispatch(self, head: bytes, body: bytes) -> None:
        method, target = head.split(b" ", 2)[:2]
        if method == b"POST":
            self._complete(body)
        else:
            self._control(target.decode())

    def _complete(self, body: bytes) -> None:
        spec = parse(body)
        if spec is None:
            self._transport.write(http_answer(b'{"error": "no bench model"}', "404 Not Found"))
            return
        ident = found[1].decode() if (found := _IDENT.search(body)) else "unnamed"
        record = self._witness.arrive(ident)
        stream = _STREAM.search(body) is not None
        answering = Answering(self._transport, self._frames, spec, record, stream)
        self._answering = answering
        answering.on_end = self._answered
        answering.begin()

    def _answered(self) -> None:
        assert self._answering is not None
        record = self._answering.record
        self._answering = None
        self._witness.over(record)

    def _control(self, target: str) -> None:
        what, _, ident = target.strip("/").partition("/")
        if what in ("seen", "gone"):
            self._witness.when(what, ident, self._reply)
        elif what == "open":
            self._reply(self._witness.open)
        else:
            self._reply({"data": []})

    def _reply(self, value: object) -> None:
        if not self._transport.is_closing():
            self._transport.write(http_answer(msgspec.json.encode(value)))

    def pause_writing(self) -> None:
        if self._answering is not None:
            self._answering.pause(True)

    def resume_writing(self) -> None:
        if self._answering is not None:
            self._answering.pause(False)

    def eof_received(self) -> None:
        self._closed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed()

    def _closed(self) -> None:
        if self._answering is None:
            return
        self._answering.stop()
        self._answering.record.closed = time.monotonic()
        self._answered()


async def serve(port: int = 0) -> asyncio.Server:
    """Listen on the loopback; `port` 0 takes a free one."""
    witness, frames = Witness(), Frames()
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: Connection(witness, frames), "127.0.0.1", port, backlog=4096
    )


async def _main(port: int) -> None:
    server = await serve(port)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Whoever started this process holds its stdin: when they are gone, so is it.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    run(_main(parser.parse_args().port))
