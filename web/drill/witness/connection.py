"""Serves one connection, HTTP or WebSocket: its answers with their faults, and its disconnect."""

import trio
from msgspec import Struct

from actors.providers.simulated import Step
from actors.providers.simulated.options.behaviour import Fault, FaultKind
from actors.providers.simulated.steps import Playhead, TornFrame
from actors.turn.chunks import Chunk, SkippedChunk
from actors.turn.outcome import ErrorInfo
from web.drill.witness.formats.base import FAILED, Renderer, rejection_of
from web.drill.witness.http1 import (
    JSON_TYPE,
    NOISE,
    After,
    Endpoint,
    HttpTransport,
    Request,
    chunked_head,
    response_head,
    whole_response,
)
from web.drill.witness.observations import ClosedBy, WitnessedRequest
from web.drill.witness.simulation import PreparedCall, Simulation, wire_for
from web.drill.witness.websocket import SocketTransport, Transport, accept_socket
from web.http.api_error import ApiError


async def handle(endpoint: Endpoint, simulation: Simulation) -> None:
    """Serve one connection until either side ends it, and close it."""
    connection = _Connection(endpoint, simulation)
    after = After.CLOSE
    try:
        after = await connection.serve()
    finally:
        connection.stop()
        endpoint.close(reset=after is After.RESET)


class _Connection:
    def __init__(self, endpoint: Endpoint, simulation: Simulation) -> None:
        self._endpoint = endpoint
        self._simulation = simulation
        self._http = HttpTransport(endpoint)
        self._transport: Transport = self._http
        self._record: WitnessedRequest | None = None
        """Record of the last call on this connection."""

    async def serve(self) -> After:
        """Serve requests; return what to do with the connection."""
        try:
            while (after := await self._exchange()) is After.KEEP:
                pass
        except trio.BrokenResourceError:
            self._peer_left("reset")
            return After.CLOSE
        return after

    def stop(self) -> None:
        """Record the end of an answer that is still being sent."""
        if self._record is not None:
            self._record.end("stopped")

    async def _exchange(self) -> After:
        try:
            request = await self._transport.read()
        except ApiError as error:
            status, message = error.info.status, error.info.message
            await self._endpoint.send(whole_response(status, message.encode(), "text/plain"))
            return After.CLOSE
        if request is None:
            self._peer_left("fin")
            return After.CLOSE
        return await self._respond(request)

    async def _respond(self, request: Request) -> After:
        if (upgrade := accept_socket(request)) is not None:
            await self._endpoint.send(upgrade)
            self._transport = SocketTransport(self._endpoint, request, self._http.take_rest())
            return After.KEEP
        if (wire := wire_for(request)) is None:
            await self._endpoint.send(await self._simulation.plain(request))
            return After.KEEP
        try:
            call = await self._simulation.prepare(wire, request)
        except ApiError as error:
            await self._endpoint.send(self._transport.rejection(rejection_of(error), wire))
            return After.KEEP
        self._record = call.record
        return await self._answer(call)

    async def _answer(self, call: PreparedCall) -> After:
        after = After.KEEP
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope)
            try:
                after = await Answer(self._endpoint, self._transport, call).send()
            except trio.BrokenResourceError:
                self._peer_left("reset")
                after = After.CLOSE
            nursery.cancel_scope.cancel()
        return after

    async def _watch(self, answering: trio.CancelScope) -> None:
        """Read while answering, so that a disconnect is noticed at once, even during a pause."""
        try:
            while data := await self._endpoint.receive():
                if not self._transport.keep(data):
                    break
            self._peer_left("fin")
        except trio.BrokenResourceError:
            self._peer_left("reset")
        answering.cancel()

    def _peer_left(self, by: ClosedBy) -> None:
        if self._record is not None:
            self._record.closed(by)


class Answer(Struct, frozen=True):
    """A sender of one answer; its methods raise `trio.BrokenResourceError`."""

    endpoint: Endpoint
    transport: Transport
    call: PreparedCall

    async def send(self) -> After:
        """Send the answer or its faults."""
        script = self.call.script
        await trio.sleep(script.head_s)
        if script.opening is not None:
            return await self._open(script.opening)
        return await (self._stream() if self.call.incoming.stream else self._whole())

    async def _open(self, opening: ErrorInfo | Fault) -> After:
        """Send the script's replacement for the response."""
        if isinstance(opening, ErrorInfo):
            return await self._reject(opening, "rejected")
        if opening.kind is FaultKind.SILENT:
            await trio.sleep_forever()
        data, after = b"", After.RESET
        if opening.kind is not FaultKind.REFUSE:
            data, after = self.transport.opening(opening)
        return await self._end(data, opening.kind, after, headed=after is After.KEEP)

    async def _stream(self) -> After:
        """Send the head, then each step when it is due: one `send` for all due steps."""
        transport, record, renderer = self.transport, self.call.record, self.call.renderer
        await self.endpoint.send(transport.head(self.call.incoming.stream_type))
        record.head()
        started_at = trio.current_time()
        playhead = Playhead(self.call.script.steps)
        while not playhead.ended():
            steps = await _due_steps(playhead, started_at)
            if isinstance(fault := steps[0].act, Fault):
                return await self._break_stream(fault)
            data = transport.data(b"".join([_frame(renderer, step) for step in steps]))
            await self.endpoint.send(data + self._tail() if playhead.ended() else data)
            record.sent(steps)
        record.end("complete")
        return After.KEEP

    def _tail(self) -> bytes:
        end = self.call.renderer.end() if self.call.script.done else b""
        return self.transport.data(end) + self.transport.last(complete=True)

    async def _break_stream(self, fault: Fault) -> After:
        transport, renderer = self.transport, self.call.renderer
        data, after = b"", After.CLOSE
        match fault.kind:
            case FaultKind.STALL | FaultKind.HANG:
                await trio.sleep_forever()
            case FaultKind.RESET:
                after = After.RESET
            case FaultKind.END:
                data, after = transport.last(complete=False), After.KEEP
            case FaultKind.ERROR_FRAME:
                data = transport.data(renderer.error_frame(fault.code))
                data, after = data + transport.last(complete=True), After.KEEP
            case FaultKind.BREAK:
                data = transport.cut_short(renderer.half_frame())
            case FaultKind.NOISE:
                data = NOISE
        return await self._end(data, fault.kind, after, headed=False)

    async def _whole(self) -> After:
        """Wait as long as the stream would take, then send the answer in one piece.

        A fault is sent at its own time and cuts the body in half. Malformed frames become half a
        body with a matching `Content-Length`.
        """
        chunks: list[Chunk] = []
        truncated = False
        started_at = trio.current_time()
        playhead = Playhead(self.call.script.steps)
        while not playhead.ended():
            steps = await _due_steps(playhead, started_at)
            if isinstance(fault := steps[0].act, Fault):
                return await self._break_whole(fault, self.call.renderer.whole(chunks))
            if isinstance(steps[0].act, TornFrame | SkippedChunk):
                truncated = True
            else:
                chunks += [step.act for step in steps if isinstance(step.act, Chunk)]
            self.call.record.sent(steps)
        body = self.call.renderer.whole(chunks)
        body = body[: len(body) // 2] if truncated else body
        return await self._end(whole_response(200, body), "complete")

    async def _break_whole(self, fault: Fault, body: bytes) -> After:
        match fault.kind:
            case FaultKind.END:
                return await self._end(whole_response(200, body[: len(body) // 2]), fault.kind)
            case FaultKind.ERROR_FRAME:
                error = ErrorInfo(status=500, message=FAILED, type="server_error", code=fault.code)
                return await self._reject(error, fault.kind)
            case FaultKind.NOISE:
                part = chunked_head(JSON_TYPE) + NOISE
            case FaultKind.HANG:
                headers = [("Content-Type", JSON_TYPE), ("Content-Length", str(len(body) + 1))]
                part = response_head(200, headers) + body
            case _:
                part = whole_response(200, body)[: -len(body) // 2]
        if fault.kind in (FaultKind.STALL, FaultKind.HANG):
            await self.endpoint.send(part)
            self.call.record.head()
            await trio.sleep_forever()
        after = After.RESET if fault.kind is FaultKind.RESET else After.CLOSE
        return await self._end(part, fault.kind, after)

    async def _reject(self, error: ErrorInfo, how: str) -> After:
        return await self._end(self.transport.rejection(error, self.call.wire), how)

    async def _end(
        self, data: bytes, how: str, after: After = After.KEEP, *, headed: bool = True
    ) -> After:
        """Send the last bytes; `headed` is true if they begin with the response head."""
        await self.endpoint.send(data)
        if headed:
            self.call.record.head()
        self.call.record.end(how)
        return after


def _frame(renderer: Renderer, step: Step) -> bytes:
    if isinstance(step.act, TornFrame):
        return renderer.torn_frame(step.act.chunk)
    return b"" if isinstance(step.act, Fault) else renderer.frame(step.act)


async def _due_steps(playhead: Playhead, started_at: float) -> tuple[Step, ...]:
    """Wait for the next step and return all that are due then."""
    await trio.sleep_until(started_at + playhead.due_s)
    return playhead.take(trio.current_time() - started_at)
