"""One HTTP/2 connection by prior knowledge, with one chat completion on it."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import trio
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame

from tests.live.client import QUESTION
from tests.live.frames import Frame, read_frames
from tests.live.harness import Process


class H2Call:
    """A call like `tests.live.client.Call`."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration())
        self._connection.initiate_connection()
        self._id = 0
        self.body = bytearray()
        self.headers: dict[str, str] = {}
        self.whole = False
        """Whether the response has ended as HTTP says it should."""

    async def ask(self, model: str, *, stream: bool, user: str) -> None:
        """Send the request."""
        body = {"model": model, "messages": QUESTION, "stream": stream, "user": user}
        self._id = self._connection.get_next_available_stream_id()
        head = {
            ":method": "POST",
            ":scheme": "http",
            ":authority": "x",
            ":path": "/v1/chat/completions",
            "content-type": "application/json",
        }
        self._connection.send_headers(self._id, list(head.items()))
        self._connection.send_data(self._id, json.dumps(body).encode(), end_stream=True)
        await self._flush()

    async def head(self) -> int:
        """Wait for the response's head; returns its status."""
        while not self.headers:
            assert await self._more()
        return int(self.headers[":status"])

    async def frames(self, count: int) -> list[Frame]:
        """Read until `count` frames are here, or the end."""
        while len(found := read_frames(bytes(self.body), cut=True)) < count:
            if not await self._more():
                break
        return found

    async def all_frames(self) -> list[Frame]:
        """Read a stream to its end; asserts that nobody cut it."""
        while await self._more():
            pass
        assert self.whole
        return read_frames(bytes(self.body))

    async def leave(self, how: str) -> float:
        """Reset the stream, or close the connection; returns the time before that."""
        left_at = time.monotonic()
        if how == "reset":
            self._connection.reset_stream(self._id, ErrorCodes.CANCEL)
            await self._flush()
        else:
            await self._stream.aclose()
        return left_at

    async def say_goodbye(self) -> None:
        """Send a GOAWAY: no more requests, but the answer is still wanted."""
        await self._stream.send_all(GoAwayFrame(0).serialize())

    async def at_end(self) -> bool:
        """Whether the server closes, too."""
        return await self._stream.receive_some() == b""

    async def _more(self) -> bool:
        data = await self._stream.receive_some()
        for event in self._connection.receive_data(data) if data else []:
            self._take(event)
        await self._flush()
        return bool(data) and not self.whole

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.headers = {bytes(k).decode(): bytes(v).decode() for k, v in event.headers or []}
        elif isinstance(event, h2.events.DataReceived):
            self.body += event.data or b""
            self._connection.acknowledge_received_data(
                event.flow_controlled_length or 0, event.stream_id or 0
            )
        elif isinstance(event, h2.events.StreamEnded):
            self.whole = True

    async def _flush(self) -> None:
        if data := self._connection.data_to_send():
            await self._stream.send_all(data)


@asynccontextmanager
async def h2_chatting(
    server: Process, model: str, *, stream: bool = True, user: str
) -> AsyncIterator[H2Call]:
    """A chat completion that was asked for; nothing of the answer is read yet."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as connection:
        call = H2Call(connection)
        await call.ask(model, stream=stream, user=user)
        yield call
