"""HTTP/2 client with prior knowledge, for one chat completion per connection."""

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

from tests.support.live.harness import Process
from tests.support.live.http_client import QUESTION
from tests.support.live.sse_frames import Frame, read_frames


class H2Call:
    """The HTTP/2 counterpart of `tests.support.live.http_client.Call`."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration())
        self._connection.initiate_connection()
        self._id = 0
        self.body = bytearray()
        self.headers: dict[str, str] = {}
        self.complete = False
        """True once the stream has ended with END_STREAM."""

    async def request(self, model: str, *, stream: bool, user: str) -> None:
        """Request a chat completion."""
        body = {"model": model, "messages": QUESTION, "stream": stream, "user": user}
        self._id = self._connection.get_next_available_stream_id()
        head = {
            ":method": "POST",
            ":scheme": "http",
            ":authority": "localhost",
            ":path": "/v1/chat/completions",
            "content-type": "application/json",
        }
        self._connection.send_headers(self._id, list(head.items()))
        self._connection.send_data(self._id, json.dumps(body).encode(), end_stream=True)
        await self._flush()

    async def head(self) -> int:
        """Wait for the response headers and return the status."""
        while not self.headers:
            assert await self._more()
        return int(self.headers[":status"])

    async def frames(self, count: int) -> list[Frame]:
        """Read at least `count` frames, or to the end."""
        while len(found := read_frames(bytes(self.body), allow_partial=True)) < count:
            if not await self._more():
                break
        return found

    async def all_frames(self) -> list[Frame]:
        """Read a stream to its end and assert that it was not truncated."""
        while await self._more():
            pass
        assert self.complete
        return read_frames(bytes(self.body))

    async def disconnect(self, how: str) -> float:
        """Reset the stream or close the connection; return the time just before."""
        left_at = time.monotonic()
        if how == "reset":
            self._connection.reset_stream(self._id, ErrorCodes.CANCEL)
            await self._flush()
        else:
            await self._stream.aclose()
        return left_at

    async def send_goaway(self) -> None:
        """Send GOAWAY: no more requests will follow, but the response is still wanted."""
        await self._stream.send_all(GoAwayFrame(0).serialize())

    async def server_closed(self) -> bool:
        """Return True if the server closes the connection."""
        return await self._stream.receive_some() == b""

    async def _more(self) -> bool:
        data = await self._stream.receive_some()
        for event in self._connection.receive_data(data) if data else []:
            self._take(event)
        await self._flush()
        return bool(data) and not self.complete

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.headers = {bytes(k).decode(): bytes(v).decode() for k, v in event.headers or []}
        elif isinstance(event, h2.events.DataReceived):
            self.body += event.data or b""
            self._connection.acknowledge_received_data(
                event.flow_controlled_length or 0, event.stream_id or 0
            )
        elif isinstance(event, h2.events.StreamEnded):
            self.complete = True

    async def _flush(self) -> None:
        if data := self._connection.data_to_send():
            await self._stream.send_all(data)


@asynccontextmanager
async def open_h2_chat(
    server: Process, model: str, *, stream: bool = True, user: str
) -> AsyncIterator[H2Call]:
    """Request a chat completion without reading any of the response."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as connection:
        call = H2Call(connection)
        await call.request(model, stream=stream, user=user)
        yield call
