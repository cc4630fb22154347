"""Mock upstream and witness process: `python -m bench.upstream`.

Answers `POST …/chat/completions` as the model's name specifies (`bench.spec`). Records for each
request the number of sent tokens and the time when the connection was closed, by CLOCK_MONOTONIC,
which all processes of a machine share. `GET /seen/<id>` responds once request `<id>` has arrived,
`GET /gone/<id>` once it has ended, both with its record. Prints its port, and ends when stdin is
closed.
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
"""Maximum number of records; older ones are dropped."""


class Record(Struct, kw_only=True):
    """The witness's observations of one request; times are seconds of CLOCK_MONOTONIC."""

    id: str
    arrived: float
    sent: int = 0
    """Number of tokens written to the socket."""
    finished: bool = False
    """True if the complete answer was written to the socket."""
    closed: float | None = None
    """Time when the relay closed the connection, if the answer was not finished."""


class Witness:
    """All records, and the callbacks that wait for one of them."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.open = 0
        self._waiting: dict[tuple[str, str], list[Callable[[Record], None]]] = {}

    def arrive(self, ident: str) -> Record:
        """Create the record of a request."""
        record = self.records[ident] = Record(id=ident, arrived=time.monotonic())
        if len(self.records) > _KEPT:
            del self.records[next(iter(self.records))]
        self.open += 1
        self._notify("seen", record)
        return record

    def finish(self, record: Record) -> None:
        """Close a record, which does not change any more."""
        self.open -= 1
        self._notify("gone", record)

    def when(self, what: str, ident: str, callback: Callable[[Record], None]) -> None:
        """Call `callback` once `ident` was `seen` or is `gone`, possibly at once."""
        record = self.records.get(ident)
        ended = record is not None and (record.finished or record.closed is not None)
        if record is not None and (what == "seen" or ended):
            callback(record)
        else:
            self._waiting.setdefault((what, ident), []).append(callback)

    def _notify(self, what: str, record: Record) -> None:
        for callback in self._waiting.pop((what, record.id), ()):
            callback(record)


class AnswerSender:
    """Sends one answer with the delays of its spec."""

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
        """Send the head, now or after its delay."""
        wait = self._spec.head if self._stream else self._spec.head + self._spec.first
        self._after(wait, self._head if self._stream else self._whole)

    def stop(self) -> None:
        """Stop sending, because the connection is closed."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def pause(self, paused: bool) -> None:
        """Pause while the socket buffer is full, or resume."""
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
        # Each stream has its own phase, so that streams that begin together do not send together.
        phase = crc32(self.record.id.encode()) / 2**32
        self._next = self._loop.time() + self._spec.delay / 1000 * phase
        self._continue()

    def _continue(self) -> None:
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
        self._continue()

    def _flood(self) -> None:
        if self._paused or self._stopped or self.record.finished:
            return
        spec = self._spec
        data, self.record.sent = self._frames.block(spec.seed, self.record.sent, spec.chunks)
        self._transport.write(data)
        self._continue()

    def _take(self, count: int) -> bytes:
        start = self.record.sent
        self.record.sent = start + count
        return self._frames.tokens(self._spec.seed, start, start + count)

    def _end(self) -> None:
        self.record.finished = True
        self.on_end()


class Connection(asyncio.Protocol):
    """A connection of a relay, or of a client that queries the witness."""

    def __init__(self, witness: Witness, frames: Frames) -> None:
        self._witness = witness
        self._frames = frames
        self._buffer = b""
        self._sender: AnswerSender | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # `cast`, because uvloop's transports are not subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._sender is None and (request := self._next_request()):
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
        sender = AnswerSender(self._transport, self._frames, spec, record, stream)
        self._sender = sender
        sender.on_end = self._answered
        sender.begin()

    def _answered(self) -> None:
        assert self._sender is not None
        record = self._sender.record
        self._sender = None
        self._witness.finish(record)

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
        if self._sender is not None:
            self._sender.pause(True)

    def resume_writing(self) -> None:
        if self._sender is not None:
            self._sender.pause(False)

    def eof_received(self) -> None:
        self._closed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed()

    def _closed(self) -> None:
        if self._sender is None:
            return
        self._sender.stop()
        self._sender.record.closed = time.monotonic()
        self._answered()


async def serve(port: int = 0) -> asyncio.Server:
    """Listen on the loopback interface; `port` 0 chooses a free port."""
    witness, frames = Witness(), Frames()
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: Connection(witness, frames), "127.0.0.1", port, backlog=4096
    )


async def _main(port: int) -> None:
    server = await serve(port)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The parent holds stdin open, so this process ends with it even if the parent is killed.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    run(_main(parser.parse_args().port))
