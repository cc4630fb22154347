"""HTTP/2: hypercorn's protocol, with errors of a stream confined to that stream."""

from contextlib import suppress

import h2.events
import h2.exceptions
import h2.settings
import structlog
import trio
from h2.connection import ConnectionState
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import EndBody, EndData, Request, Response, StreamClosed, Trailers
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import BUFFER_LOW_WATER, H2Protocol, StreamBuffer
from hypercorn.typing import ConnectionState as AsgiState
from hypercorn.utils import filter_pseudo_headers
from hyperframe.frame import GoAwayFrame
from priority.priority import MissingStreamError

from web.server.protocols.base import AppStream, ProtocolContext
from web.server.protocols.frame_limits import FrameLimitExceeded, FrameScanner
from web.server.protocols.strict_http import (
    RequestRefused,
    check_fields,
    error_body,
    request_event,
)
from web.server.request_id import header_of, state_with_id

LAST_STREAM_ID = 2**31 - 1
"""The highest possible id of a stream."""

_log = structlog.stdlib.get_logger("trouper.http")


class BoundedBuffer(StreamBuffer):
    """hypercorn's buffer of a stream's data, fixed so that its writer waits while it is full.

    In hypercorn, a pop of nothing, because the window is empty, wakes the writer.
    """

    async def pop(self, max_length: int) -> bytes:
        """Remove and return up to `max_length` bytes."""
        data = bytes(self.buffer[:max_length])
        del self.buffer[:max_length]
        if len(self.buffer) < BUFFER_LOW_WATER:
            await self._paused.set()
        if not self.buffer:
            await self._is_empty.set()
        return data


class Http2Protocol(H2Protocol):
    """hypercorn's HTTP/2, fixed so that one stream cannot end the others.

    Priorities are ignored: RFC 9113 §5.3.2 deprecates them, and hypercorn's priority tree is
    bounded. WebSockets are not supported: clients open them over HTTP/1.1 unless the server
    offers RFC 8441.
    """

    takes_bytes = True

    def __init__(self, context: ProtocolContext) -> None:
        super().__init__(*context.served, AsgiState({}), *context.peers, context.send)
        self.connection.local_settings = _settings(context.shared.config)
        self._protocol_context = context
        self._finished: set[int] = set()
        self._client_is_leaving = False
        self._scanner = FrameScanner(
            self.connection.max_inbound_frame_size,
            context.shared.settings.header_bytes,
            trio.current_time(),
        )

    @property
    def buffered_bytes(self) -> int:
        """Number of received bytes that wait for the rest of their frame or header block."""
        return self._scanner.unfinished

    async def on_head_timeout(self) -> None:
        """Send GOAWAY: no request is open, so a 408 has no recipient."""
        await self.goaway()

    async def on_malformed(self) -> None:
        """Send GOAWAY with an error; a 400 could not be assigned to a stream."""
        await self.goaway(code=ErrorCodes.PROTOCOL_ERROR)

    async def goaway(
        self, last_stream_id: int | None = None, code: ErrorCodes = ErrorCodes.NO_ERROR
    ) -> None:
        """Send GOAWAY, so that the client opens no more streams; open ones continue.

        `h2`'s `close_connection` cannot be used: it would send no more data of open streams.
        `LAST_STREAM_ID` only announces the GOAWAY (RFC 9113 §6.8): requests that are on their way
        are still answered, until one with the real id follows.
        """
        if last_stream_id is None:
            last_stream_id = self.connection.highest_inbound_stream_id
        frame = GoAwayFrame(0, last_stream_id=last_stream_id, error_code=code)
        await self.send(RawData(data=frame.serialize()))

    async def handle(self, event: Event) -> None:
        """Handle received data or the end of the connection."""
        if isinstance(event, RawData):
            await self._receive(event.data)
            return
        await super().handle(event)
        for buffer in list(self.stream_buffers.values()):
            await buffer.close()

    async def _receive(self, data: bytes) -> None:
        """Handle frames; let other tasks run in between, and close if they exceed a limit."""
        try:
            for number, frames in enumerate(self._scanner.split(data, trio.current_time())):
                if number:
                    await trio.lowlevel.checkpoint()
                if not self.closed:
                    await super().handle(RawData(frames))
        except FrameLimitExceeded as error:
            self._protocol_context.shared.counters.frame_limits_exceeded += 1
            _log.info("frame limit exceeded", client=self.client, error=error.code.name)
            await self.goaway(code=error.code)
            await self.send(Closed())

    async def stream_send(self, event: StreamEvent) -> None:
        """Send an event of the response; reset the stream if the response ends unfinished.

        The stall deadline applies here too: a client that grants no window is as stalled as one
        that does not read.
        """
        if isinstance(event, EndBody | EndData | Trailers):
            self._finished.add(event.stream_id)
        elif isinstance(event, StreamClosed):
            await self._reset_unless_finished(event.stream_id)
        elif isinstance(event, Response) and event.stream_id in self.streams:
            event.headers.append(header_of(self.streams[event.stream_id].scope["state"]))
        with trio.move_on_after(self._protocol_context.shared.settings.write_stall_s) as clock:
            await super().stream_send(event)
        if clock.cancelled_caught:
            self._reset(event.stream_id, ErrorCodes.CANCEL)
            await self._forget(event.stream_id)
            await self._flush()
        if self._client_is_leaving and self.idle:
            await self.send(Closed())

    async def _reset_unless_finished(self, stream_id: int) -> None:
        if stream_id in self._finished:
            self._finished.discard(stream_id)
        elif stream_id in self.streams:
            self._reset(stream_id, ErrorCodes.INTERNAL_ERROR)
            await self._flush()

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        if any(isinstance(event, h2.events.ConnectionTerminated) for event in events):
            # After a GOAWAY, h2 considers the connection closed and would send nothing more.
            self.connection.state_machine.state = ConnectionState.SERVER_OPEN
        for event in events:
            if isinstance(event, h2.events.ConnectionTerminated):
                await self._client_leaves(event)
            elif isinstance(event, h2.events.StreamReset):
                await self._forget(event.stream_id)
            elif isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                self._drop(event)
            else:
                await super()._handle_events([event])
                if isinstance(event, h2.events.RequestReceived) and self.idle:
                    await self.send(Updated(idle=True))  # it was refused
        await self._flush()

    async def _client_leaves(self, event: h2.events.ConnectionTerminated) -> None:
        """Close; if the GOAWAY has no error, first finish open streams (RFC 9113 §6.8)."""
        self._client_is_leaving = True
        if self.idle or event.error_code:
            await self.send(Closed())

    def _drop(self, event: h2.events.DataReceived) -> None:
        """Discard body data of an already answered request: return the window, reset the stream."""
        self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self._reset(event.stream_id, ErrorCodes.NO_ERROR)

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        with suppress(h2.exceptions.ProtocolError):  # if the stream has already ended
            self.connection.reset_stream(stream_id, code)

    async def _forget(self, stream_id: int) -> None:
        """Clean up after a stream was reset, by the client or by us."""
        self._finished.discard(stream_id)
        await self._close_stream(stream_id)
        buffer = self.stream_buffers.pop(stream_id, None)
        if buffer is not None:
            await buffer.close()
        self._unqueue(stream_id)
        if self.idle and not self.closed:  # hypercorn reports this only after a response
            await self.send(Updated(idle=True))

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        stream_id = request.stream_id
        try:
            event = _as_event(request)
        except RequestRefused as refused:
            self._refuse(stream_id, refused)
            return
        stream = AppStream(self._protocol_context, self.stream_send, stream_id)
        self.streams[stream_id] = stream
        self.stream_buffers[stream_id] = BoundedBuffer(self.context.event_class)
        self.priority.insert_stream(stream_id)
        self.priority.block(stream_id)
        await stream.handle(event)

    def _refuse(self, stream_id: int, refused: RequestRefused) -> None:
        """Answer with an error, and reset the stream if the client has not ended it."""
        body = error_body(refused.message)
        headers = [
            (b":status", b"%d" % refused.status),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            header_of(state_with_id(())),
            *self.config.response_headers("h2"),
        ]
        with suppress(h2.exceptions.ProtocolError):  # if the client's window is too small
            self.connection.send_headers(stream_id, headers)
            self.connection.send_data(stream_id, body, end_stream=True)
        self._reset(stream_id, ErrorCodes.NO_ERROR)

    async def _send_data(self, stream_id: int) -> None:
        """Send some of a stream's data; the stream may be reset during any await."""
        try:
            await super()._send_data(stream_id)
        except (KeyError, MissingStreamError):
            self._unqueue(stream_id)

    def _unqueue(self, stream_id: int) -> None:
        with suppress(MissingStreamError):
            self.priority.remove_stream(stream_id)

    async def _priority_updated(self, event: h2.events.PriorityUpdated) -> None:
        return  # priorities are ignored, see the class


def _as_event(request: h2.events.RequestReceived) -> Request:
    """Return the request as hypercorn's event. Raises `RequestRefused`."""
    headers = [(bytes(name), bytes(value)) for name, value in request.headers or []]
    pseudo = dict(headers)
    check_fields(headers)
    fields = filter_pseudo_headers(headers)
    path = pseudo.get(b":path", b"")  # missing in CONNECT
    return request_event(request.stream_id, "2", pseudo[b":method"], path, fields)


def _settings(config: Config) -> h2.settings.Settings:
    """Return hypercorn's settings without the offer of WebSockets (RFC 8441)."""
    return h2.settings.Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: config.h2_max_concurrent_streams,
            SettingCodes.MAX_HEADER_LIST_SIZE: config.h2_max_header_list_size,
        },
    )
