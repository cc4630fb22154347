"""A Responses WebSocket: many turns on one socket, one after the other."""

from contextlib import AsyncExitStack
from functools import partial

import structlog
import trio
from quart.wrappers import Websocket

from actors.answer_items import items_of
from actors.events import Ended
from actors.heavy import off_loop
from actors.laggard import ReaderTooSlow
from actors.lease import Lease
from actors.long_answers import is_long, kept_items
from actors.outcome import ErrorInfo, Reason
from actors.turn import Turn, TurnRequest
from store.records import StoreUnavailable
from web.access_log import RequestRecord
from web.dialects.frames import START, data_of
from web.dialects.kinds import KINDS
from web.dialects.responses import NAME
from web.dialects.responses_items import response_id
from web.errors import ApiError, ending_error, not_found, store_unavailable
from web.playing import failed_without_content, first_event, start_turn, turn_headers
from web.responses.request import ResponsesAsk
from web.responses.turn import play_response
from web.responses.unstored import UnstoredResponses, link_of
from web.responses.ws_events import (
    Cancel,
    Create,
    error_event,
    read_event,
    response_in_progress,
)
from web.service import Service
from web.websocket import GOING_AWAY, POLICY, websocket_life

_KIND = KINDS[NAME]

log = structlog.stdlib.get_logger("web.server")


class Asked:
    """A response that was asked for, until its last events are on their way."""

    __slots__ = ("_ask", "_cancelled", "_turn", "unstored")

    def __init__(self, ask: ResponsesAsk) -> None:
        self._ask: ResponsesAsk | None = ask
        self._turn: Turn | None = None
        self._cancelled = False
        self.unstored = None if ask.keep else ask.kept
        """JSON array of what it was asked, if nobody else keeps that."""

    def take(self) -> ResponsesAsk:
        """The request, once: it may be large, and takes no memory while the turn plays."""
        ask, self._ask = self._ask, None
        assert ask is not None  # noqa: S101  # there is one player, who asks once
        return ask

    def begun(self, turn: Turn) -> None:
        """Its turn plays."""
        self._turn = turn
        if self._cancelled:
            turn.stop(Reason.CANCEL_REQUESTED)

    def cancel(self) -> None:
        """End it, as soon as there is something to end."""
        self._cancelled = True
        if self._turn is not None:
            self._turn.stop(Reason.CANCEL_REQUESTED)

    def is_meant(self, id: str | None) -> bool:
        """Whether this is the response of that id; None means whichever there is."""
        return id is None or (self._turn is not None and response_id(self._turn.id) == id)


Asks = trio.MemorySendChannel[Asked | None]
"""Whom the player is to answer next; None only has it look around."""


class ResponsesSocket:
    """Serves one accepted socket.

    One task reads all the time, so that a cancellation is heard while a response is told; another
    plays the responses and tells them. The reader tells of its own only errors. What they do for
    each message is a call, so that no variable keeps a large one while nothing comes.
    """

    def __init__(
        self, service: Service, websocket: Websocket, threads: trio.CapacityLimiter
    ) -> None:
        self._service = service
        self._websocket = websocket
        self._threads = threads
        self._life = websocket_life(websocket)
        self._unstored = UnstoredResponses(service.config.limits.body_bytes)
        self._asked: Asked | None = None
        """What is in progress: a second one may not be asked for."""

    async def serve(self) -> None:
        """Serve until the client leaves, which cancels, or until the server does."""
        # One that is asked for while the last events of another are sent, and one None.
        asks, taken = trio.open_memory_channel[Asked | None](2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, asks.clone())
            nursery.start_soon(self._watch_server, asks)
            await self._play(taken)
            nursery.cancel_scope.cancel()

    async def _watch_server(self, asks: Asks) -> None:
        with asks:
            await self._life.server_leaves.wait()
            asks.send_nowait(None)

    async def _read(self, asks: Asks) -> None:
        with asks:
            while True:
                await self._read_one(asks)

    async def _read_one(self, asks: Asks) -> None:
        message = await self._websocket.receive()
        try:
            self._heed(await read_event(message, self._threads), asks)
        except ApiError as error:
            await self._life.send_texts([error_event(error.info)])

    def _heed(self, event: Create | Cancel, asks: Asks) -> None:
        """Do what the client says; raises `ApiError` (404, 409)."""
        asked = self._asked
        if isinstance(event, Cancel):
            if asked is None or not asked.is_meant(event.response_id):
                text = "There is no such response in progress on this socket; it may have ended."
                raise not_found(text, code="response_not_found", param="response_id")
            asked.cancel()
        elif asked is not None:
            raise response_in_progress()
        else:
            self._asked = Asked(event.ask)
            asks.send_nowait(self._asked)

    async def _play(self, asks: trio.MemoryReceiveChannel[Asked | None]) -> None:
        with asks:
            try:
                while self._asked is not None or not self._server_leaves:
                    await self._play_one(asks)
            except ReaderTooSlow as error:
                self._life.left_at = trio.current_time()
                log.info("reader_too_slow", path=self._websocket.path, lag=str(error))
                await self._websocket.close(POLICY, "The events are read too slowly.")
            else:
                await self._websocket.close(GOING_AWAY, "The server is about to stop.")

    async def _play_one(self, asks: trio.MemoryReceiveChannel[Asked | None]) -> None:
        asked = await asks.receive()
        if asked is not None:
            await self._answer(asked)

    @property
    def _server_leaves(self) -> bool:
        return self._life.server_leaves.is_set() or self._service.registry.draining

    async def _answer(self, asked: Asked) -> None:
        """Play a response to its end, or tell the error that there is instead."""
        try:
            async with AsyncExitStack() as stack:
                await self._tell(asked, await self._start(asked, stack))
        except ApiError as error:
            await self._refuse(asked, error.info)
        except StoreUnavailable:
            await self._refuse(asked, store_unavailable().info)
        finally:
            self._settle(asked)

    async def _start(self, asked: Asked, stack: AsyncExitStack) -> Turn:
        begin, links = partial(self._begin, asked, stack), self._unstored.links
        return await play_response(self._service, asked.take(), self._threads, begin, links)

    async def _begin(self, asked: Asked, stack: AsyncExitStack, request: TurnRequest) -> Turn:
        turn = start_turn(self._service, request)
        stack.callback(self._over, turn)
        await stack.enter_async_context(Lease(turn, settle_s=self._service.settle_s))
        asked.begun(turn)
        return turn

    def _over(self, turn: Turn) -> None:
        record = RequestRecord()
        record.turn, record.left_at = turn, self._life.left_at
        self._service.metrics.request_over(record)

    async def _tell(self, asked: Asked, turn: Turn) -> None:
        await first_event(turn.journal)
        ended = failed_without_content(turn.journal, _KIND)
        if ended is not None:
            await self._refuse(asked, ending_error(ended), turn_headers(turn))
            return
        dialect = _KIND.stream(turn.request.dialect_options, START)
        writer = self._service.writer(turn, dialect)
        async for frames in writer:
            if writer.exhausted:
                await self._remember(asked, turn)
                self._settle(asked)  # who has the last event may ask for the next response
            if messages := data_of(frames):
                await self._life.send_texts(messages)

    async def _remember(self, asked: Asked, turn: Turn) -> None:
        journal = turn.journal.events
        ended = journal[-1]
        if asked.unstored is None or turn.deleted_at is not None or not isinstance(ended, Ended):
            return
        long = is_long(journal)
        said = await off_loop(long, self._service.threads, partial(_said, turn, long=long))
        self._unstored.keep(link_of(turn, ended, asked.unstored, said or "[]"))

    async def _refuse(
        self, asked: Asked, info: ErrorInfo, headers: dict[str, str] | None = None
    ) -> None:
        self._settle(asked)
        await self._life.send_texts([error_event(info, headers)])

    def _settle(self, asked: Asked) -> None:
        """Another may be asked for."""
        if self._asked is asked:
            self._asked = None


def _said(turn: Turn, *, long: bool) -> str | None:
    items = items_of(turn.journal.events) if turn.items is None else turn.items
    return kept_items(items, long=long)
