"""Sends a script as an answer, streamed or whole, with its faults."""

import trio
from msgspec import Struct

from actors.providers.simulated import Script, Step
from actors.providers.simulated.options.behaviour import Fault, FaultKind
from actors.providers.simulated.steps import Playhead, TornFrame
from actors.turn.chunks import Chunk, SkippedChunk
from actors.turn.outcome import ErrorInfo
from web.drill.witness.formats.base import FAILED, IncomingCall, Renderer, WireFormat
from web.drill.witness.http1 import (
    JSON_TYPE,
    NOISE,
    After,
    Endpoint,
    chunked_head,
    response_head,
    whole_response,
)
from web.drill.witness.observations import WitnessedRequest
from web.drill.witness.websocket import Transport


class PreparedCall(Struct, frozen=True):
    """A call with everything that its answer needs."""

    wire: WireFormat
    incoming: IncomingCall
    script: Script
    renderer: Renderer
    record: WitnessedRequest


class Answer:
    """A sender of one answer; its methods raise `trio.BrokenResourceError`."""

    def __init__(self, endpoint: Endpoint, transport: Transport, call: PreparedCall) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self._call = call
        self._script = call.script
        self._renderer = call.renderer
        self._record = call.record

    async def send(self) -> After:
        """Send the answer or its faults."""
        await trio.sleep(self._script.head_s)
        if self._script.opening is not None:
            return await self._open(self._script.opening)
        return await (self._stream() if self._call.incoming.stream else self._whole())

    async def _open(self, opening: ErrorInfo | Fault) -> After:
        """Send the script's replacement for the response."""
        if isinstance(opening, ErrorInfo):
            return await self._reject(opening, "rejected")
        if opening.kind is FaultKind.SILENT:
            return await _silence()
        data, after = b"", After.RESET
        if opening.kind is not FaultKind.REFUSE:
            data, after = self._transport.opening(opening)
            await self._endpoint.send(data)
        return self._ended(opening.kind, after, headed=after is After.KEEP)

    async def _stream(self) -> After:
        """Send the head, then each step when it is due: one `send` for all due steps."""
        transport = self._transport
        await self._endpoint.send(transport.head(self._call.incoming.stream_type))
        self._record.head()
        started_at = trio.current_time()
        playhead = Playhead(self._script.steps)
        while not playhead.ended():
            await trio.sleep_until(started_at + playhead.due_s)
            steps = playhead.take(trio.current_time() - started_at)
            if isinstance(fault := steps[0].act, Fault):
                return await self._break_stream(fault)
            data = transport.data(b"".join([self._frame(step) for step in steps]))
            await self._endpoint.send(data + self._tail() if playhead.ended() else data)
            self._record.sent(steps)
        return self._ended("complete", After.KEEP)

    def _frame(self, step: Step) -> bytes:
        act = step.act
        if isinstance(act, TornFrame):
            return self._renderer.torn_frame(act.chunk)
        return b"" if isinstance(act, Fault) else self._renderer.frame(act)

    def _tail(self) -> bytes:
        end = self._renderer.end() if self._script.done else b""
        return self._transport.data(end) + self._transport.last(complete=True)

    async def _break_stream(self, fault: Fault) -> After:
        transport, renderer = self._transport, self._renderer
        data, after = b"", After.CLOSE
        match fault.kind:
            case FaultKind.STALL | FaultKind.HANG:
                return await _silence()
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
        await self._endpoint.send(data)
        return self._ended(fault.kind, after)

    async def _whole(self) -> After:
        """Wait as long as the stream would take, then send the answer in one piece.

        A fault is sent at its own time and cuts the body in half. Malformed frames become half a
        body with a matching `Content-Length`.
        """
        chunks: list[Chunk] = []
        truncated = False
        started_at = trio.current_time()
        playhead = Playhead(self._script.steps)
        while not playhead.ended():
            await trio.sleep_until(started_at + playhead.due_s)
            steps = playhead.take(trio.current_time() - started_at)
            if isinstance(fault := steps[0].act, Fault):
                return await self._break_whole(fault, self._renderer.whole(chunks))
            if isinstance(steps[0].act, TornFrame | SkippedChunk):
                truncated = True
            else:
                chunks += [step.act for step in steps if isinstance(step.act, Chunk)]
            self._record.sent(steps)
        body = self._renderer.whole(chunks)
        return await self._deliver(body[: len(body) // 2] if truncated else body, "complete")

    async def _break_whole(self, fault: Fault, body: bytes) -> After:
        match fault.kind:
            case FaultKind.END:
                return await self._deliver(body[: len(body) // 2], fault.kind)
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
        await self._endpoint.send(part)
        if fault.kind in (FaultKind.STALL, FaultKind.HANG):
            self._record.head()
            return await _silence()
        after = After.RESET if fault.kind is FaultKind.RESET else After.CLOSE
        return self._ended(fault.kind, after, headed=True)

    async def _deliver(self, body: bytes, how: str) -> After:
        await self._endpoint.send(whole_response(200, body))
        return self._ended(how, After.KEEP, headed=True)

    async def _reject(self, rejection: ErrorInfo, how: str) -> After:
        await self._endpoint.send(self._transport.rejection(rejection, self._call.wire))
        return self._ended(how, After.KEEP, headed=True)

    def _ended(self, how: str, after: After, *, headed: bool = False) -> After:
        if headed:
            self._record.head()
        self._record.end(how)
        return after


async def _silence() -> After:
    """Send nothing until cancelled, which happens when the peer disconnects."""
    await trio.sleep_forever()
    raise AssertionError
