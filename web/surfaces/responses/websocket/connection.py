"""Serves a Responses WebSocket: many turns on one socket, one after the other."""

from contextlib import AsyncExitStack
from functools import partial

import structlog
import trio
from quart.wrappers import Websocket

from actors.answer.codec import encode_items, is_long
from actors.answer.items import items_of
from actors.journal.reader_pace import ReaderTooSlow
from actors.runtime.offload import off_loop
from actors.turn.events import Ended
from actors.turn.outcome import ErrorInfo, Reason, Status
from actors.turn.request import TurnRequest
from actors.turn.state import Lease, Turn
from store.records.turn_records import StoreUnavailable
from web.dialects.frames import START, data_of
from web.dialects.openai_responses.items import response_id
from web.dialects.openai_responses.stream import DIALECT
from web.dialects.turn_errors import ending_error
from web.http.api_error import ApiError, invalid, not_found, store_unavailable
from web.http.websocket import GOING_AWAY, POLICY, websocket_context_of
from web.observability.access_log import RequestContext
from web.service import Service
from web.surfaces.responses.create import start_response
from web.surfaces.responses.history.history import Caller
from web.surfaces.responses.history.socket_cache import UnstoredResponses, link_of
from web.surfaces.responses.request import ResponsesRequest
from web.surfaces.responses.websocket.events import (
    CANCEL,
    Cancel,
    RequestRefused,
    error_event,
    read_event,
)
from web.turns.start import failed_without_content, first_event, start_turn, turn_headers

MAX_AGE_S = 3600.0
"""Age of a socket after which it ends with its current response, as in OpenAI's API."""

_log = structlog.stdlib.get_logger("trouper.http")


class PendingResponse:
    """A requested response, until its last events are being sent."""

    __slots__ = ("_cancelled", "_request", "_turn", "previous", "unstored")

    def __init__(self, request: ResponsesRequest) -> None:
        self._request: ResponsesRequest | None = request
        self._turn: Turn | None = None
        self._cancelled = False
        self.previous = request.past.previous
        """The id of the response that it continues."""
        self.unstored: str | None = None
        """JSON array of its input items if they are not stored, else None."""

    def take(self) -> ResponsesRequest:
        """Return the request, once: it may be large and must be freed while the turn runs."""
        request, self._request = self._request, None
        assert request is not None  # noqa: S101  # only `_start` calls this, once per response
        return request

    def set_turn(self, turn: Turn) -> None:
        """Set its turn, and cancel the turn if the client has cancelled the response already."""
        self._turn = turn
        if self._cancelled:
            turn.stop(Reason.CANCEL_REQUESTED)

    def cancel(self) -> None:
        """Cancel its turn, now or as soon as it has started."""
        self._cancelled = True
        if self._turn is not None:
            self._turn.stop(Reason.CANCEL_REQUESTED)

    def matches(self, id: str | None) -> bool:
        """Return whether `id` is the id of this response; None matches every response."""
        return id is None or (self._turn is not None and response_id(self._turn.id) == id)


PendingSender = trio.MemorySendChannel[PendingResponse | None]
"""Channel to the responding task: the next response, or None to make it check for shutdown."""


class ResponsesSocket:
    """One accepted socket.

    One task reads all the time, so that a cancellation is noticed while a response is streamed.
    Another starts the responses and streams them. The reading task sends only errors. Each message
    is handled in its own function call, so that no variable keeps a large one alive while the task
    waits for the next.
    """

    def __init__(self, service: Service, websocket: Websocket) -> None:
        self._service = service
        self._websocket = websocket
        self._context = websocket_context_of(websocket)
        self._unstored = UnstoredResponses(service.config.limits.body_bytes)
        principal = service.principal_of(websocket.headers)
        self._caller = Caller(service, principal, self._unstored.links, self._unstored.evicted)
        self._current: PendingResponse | None = None
        """The response in progress; only one is allowed at a time."""
        self._expired = False

    async def serve(self) -> None:
        """Serve until the client disconnects, which cancels this task, or the server stops."""
        # Room for one request sent during another's last events, and for one None.
        sender, receiver = trio.open_memory_channel[PendingResponse | None](2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, sender.clone())
            nursery.start_soon(self._watch_end, sender)
            await self._respond_to_all(receiver)
            nursery.cancel_scope.cancel()

    async def _watch_end(self, sender: PendingSender) -> None:
        with sender:
            with trio.move_on_after(MAX_AGE_S) as age:
                await self._context.server_leaves.wait()
            self._expired = age.cancelled_caught
            sender.send_nowait(None)

    async def _read(self, sender: PendingSender) -> None:
        with sender:
            while True:
                await self._read_one(sender)

    async def _read_one(self, sender: PendingSender) -> None:
        message = await self._websocket.receive()
        try:
            self._handle_event(await read_event(message, self._service.readers), sender)
        except ApiError as error:
            if isinstance(error, RequestRefused):
                self._unstored.evict(error.previous)
            await self._context.send_texts([error_event(error.info)])

    def _handle_event(self, event: ResponsesRequest | Cancel, sender: PendingSender) -> None:
        """Handle an event of the client; raises `ApiError` (404, 409)."""
        pending = self._current
        if isinstance(event, Cancel):
            if pending is None or not pending.matches(event.response_id):
                text = "No such response is in progress on this socket. It may have ended."
                raise not_found(text, code="response_not_found", param="response_id")
            pending.cancel()
        elif pending is not None:
            text = "A response is in progress on this socket. Wait for its last event, or send "
            raise invalid(f"{text}{CANCEL}.", code="response_in_progress", status=409)
        else:
            self._current = PendingResponse(event)
            sender.send_nowait(self._current)

    async def _respond_to_all(
        self, receiver: trio.MemoryReceiveChannel[PendingResponse | None]
    ) -> None:
        with receiver:
            try:
                while self._current is not None or not (self._expired or self._server_leaves):
                    await self._respond_to_next(receiver)
            except ReaderTooSlow as error:
                self._context.left_at = trio.current_time()
                _log.info("slow reader dropped", path=self._websocket.path, lag=str(error))
                await self._websocket.close(POLICY, "The client reads the events too slowly.")
            else:
                await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        reason = "The server is stopping."
        if self._expired:
            reason = f"The socket is {MAX_AGE_S / 60:.0f} minutes old. Open a new one."
            error = invalid(reason, code="websocket_connection_limit_reached")
            await self._context.send_texts([error_event(error.info)])
        await self._websocket.close(GOING_AWAY, reason)

    async def _respond_to_next(
        self, receiver: trio.MemoryReceiveChannel[PendingResponse | None]
    ) -> None:
        pending = await receiver.receive()
        if pending is not None:
            await self._respond(pending)

    @property
    def _server_leaves(self) -> bool:
        return self._context.server_leaves.is_set() or self._service.registry.draining

    async def _respond(self, pending: PendingResponse) -> None:
        """Run a response to its end, or send the error that prevents it."""
        try:
            async with AsyncExitStack() as stack:
                await self._stream(pending, await self._start(pending, stack))
        except ApiError as error:
            await self._send_error(pending, error.info)
        except StoreUnavailable:
            await self._send_error(pending, store_unavailable().info)
        finally:
            self._release(pending)

    async def _start(self, pending: PendingResponse, stack: AsyncExitStack) -> Turn:
        begin = partial(self._begin, pending, stack)
        return await start_response(self._caller, pending.take(), begin)

    async def _begin(
        self, pending: PendingResponse, stack: AsyncExitStack, request: TurnRequest, items: str
    ) -> Turn:
        pending.unstored = None if request.keep_text else items
        turn = start_turn(self._service, request)
        stack.callback(self._record_request, turn)
        await stack.enter_async_context(Lease(turn, settle_s=self._service.settle_s))
        pending.set_turn(turn)
        return turn

    def _record_request(self, turn: Turn) -> None:
        record = RequestContext()
        record.turn, record.left_at = turn, self._context.left_at
        self._service.metrics.request_over(record)

    async def _stream(self, pending: PendingResponse, turn: Turn) -> None:
        await first_event(turn.journal)
        ended = failed_without_content(turn.journal, DIALECT)
        if ended is not None:
            await self._send_error(pending, ending_error(ended), turn_headers(turn))
            return
        dialect = DIALECT.stream(turn.request.dialect_options, START)
        writer = self._service.writer(turn, dialect)
        async for frames in writer:
            if writer.exhausted:
                await self._remember(pending, turn)
                # Before sending: a client that has the last event may request the next response.
                self._release(pending)
            if messages := data_of(frames):
                await self._context.send_texts(messages)

    async def _remember(self, pending: PendingResponse, turn: Turn) -> None:
        journal = turn.journal.events
        ended = journal[-1]
        if isinstance(ended, Ended) and ended.status is Status.FAILED:
            self._unstored.evict(pending.previous)
        if pending.unstored is None or turn.deleted_at is not None or not isinstance(ended, Ended):
            return
        answer = await off_loop(
            is_long(journal), self._service.threads, lambda: encode_items(items_of(turn.answer))
        )
        self._unstored.keep(link_of(turn, ended, pending.unstored, answer or "[]"))

    async def _send_error(
        self, pending: PendingResponse, info: ErrorInfo, headers: dict[str, str] | None = None
    ) -> None:
        self._unstored.evict(pending.previous)
        self._release(pending)
        await self._context.send_texts([error_event(info, headers)])

    def _release(self, pending: PendingResponse) -> None:
        """Allow the client to request another response."""
        if self._current is pending:
            self._current = None
