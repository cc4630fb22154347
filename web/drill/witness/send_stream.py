"""Sends a script as a stream in any framing, with its faults: one write for all due steps."""

from enum import Enum, auto
from typing import Protocol

import trio
from msgspec import Struct

from actors.providers.simulated import Script, Step
from actors.providers.simulated.options.behaviour import Fault, FaultKind
from actors.providers.simulated.steps import Playhead, TornFrame
from web.drill.witness.formats.base import Renderer
from web.drill.witness.http1 import LAST_CHUNK, Endpoint, chunk, response_head
from web.drill.witness.observations import WitnessedRequest

NOISE = b"\xff\xfe this is not a chunk \x00\r\n"


class After(Enum):
    """Action on the connection after a response."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()


class Framing(Protocol):
    """A framing of an answer's frames."""

    def head(self, stream_type: str) -> bytes:
        """Return the bytes before the first frame."""

    def data(self, frames: bytes) -> bytes:
        """Return the framed data; empty if there are no frames."""

    def cut_short(self, half: bytes) -> bytes:
        """Return framed data that announces twice its length, so that the framing is cut too."""

    def last(self) -> bytes:
        """Return the end of a complete answer."""

    def end_early(self) -> bytes:
        """Return the regular end of a stream whose answer isn't complete."""


class ChunkedFraming:
    """The chunked body of an HTTP response."""

    def head(self, stream_type: str) -> bytes:
        headers = [
            ("Content-Type", stream_type),
            ("Cache-Control", "no-cache"),
            ("Transfer-Encoding", "chunked"),
        ]
        return response_head(200, headers)

    def data(self, frames: bytes) -> bytes:
        return chunk(frames)

    def cut_short(self, half: bytes) -> bytes:
        return b"%x\r\n%b" % (2 * len(half), half)

    def last(self) -> bytes:
        return LAST_CHUNK

    def end_early(self) -> bytes:
        return LAST_CHUNK


class Exchange(Struct, frozen=True):
    """Everything needed to send one answer to one client."""

    endpoint: Endpoint
    script: Script
    renderer: Renderer
    record: WitnessedRequest
    stream_type: str
    framing: Framing = ChunkedFraming()


async def send_stream(exchange: Exchange) -> After:
    """Send the head, then each step when it is due. Raises `trio.BrokenResourceError`."""
    framing = exchange.framing
    await exchange.endpoint.send(framing.head(exchange.stream_type))
    exchange.record.head()
    started_at = trio.current_time()
    playhead = Playhead(exchange.script.steps)
    while not playhead.ended():
        await trio.sleep_until(started_at + playhead.due_s)
        steps = playhead.take(trio.current_time() - started_at)
        if isinstance(fault := steps[0].act, Fault):
            return await _send_fault(exchange, fault)
        data = framing.data(b"".join([_frame(exchange.renderer, step) for step in steps]))
        await exchange.endpoint.send(data + _tail(exchange) if playhead.ended() else data)
        exchange.record.sent(steps)
    exchange.record.end("complete")
    return After.KEEP


async def silence() -> After:
    """Send nothing until cancelled, which happens when the peer disconnects."""
    await trio.sleep_forever()
    raise AssertionError


async def _send_fault(exchange: Exchange, fault: Fault) -> After:
    endpoint, renderer, framing = exchange.endpoint, exchange.renderer, exchange.framing
    match fault.kind:
        case FaultKind.STALL | FaultKind.HANG:
            return await silence()
        case FaultKind.RESET:
            after = After.RESET
        case FaultKind.END:
            await endpoint.send(framing.end_early())
            after = After.KEEP
        case FaultKind.ERROR_FRAME:
            frames = framing.data(renderer.error_frame(fault.code))
            await endpoint.send(frames + framing.last())
            after = After.KEEP
        case FaultKind.BREAK:
            await endpoint.send(framing.cut_short(renderer.half_frame()))
            after = After.CLOSE
        case FaultKind.NOISE:
            await endpoint.send(NOISE)
            after = After.CLOSE
        case _:
            after = After.CLOSE
    exchange.record.end(fault.kind)
    return after


def _frame(renderer: Renderer, step: Step) -> bytes:
    act = step.act
    if isinstance(act, TornFrame):
        return renderer.torn_frame(act.chunk)
    return b"" if isinstance(act, Fault) else renderer.frame(act)


def _tail(exchange: Exchange) -> bytes:
    end = exchange.renderer.end() if exchange.script.done else b""
    return exchange.framing.data(end) + exchange.framing.last()
