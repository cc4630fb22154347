"""Sends a script as one non-streamed response, with the script's faults."""

import trio

from actors.providers.simulated import Step
from actors.providers.simulated.options.behaviour import Fault, FaultKind
from actors.providers.simulated.rejections import Rejection
from actors.providers.simulated.steps import Playhead, TornFrame
from actors.turn.chunks import Chunk, SkippedChunk
from web.drill.witness.formats.base import WireFormat
from web.drill.witness.http1 import response_head, whole_response
from web.drill.witness.send_stream import NOISE, After, Exchange, silence

_JSON = "application/json"


async def send_whole(exchange: Exchange, wire: WireFormat) -> After:
    """Wait as long as the stream would take, then send the answer in one piece.

    A fault is sent at its own time and cuts the body in half. Malformed frames become half a body
    with a matching `Content-Length`.
    """
    chunks: list[Chunk] = []
    truncated = False
    started_at = trio.current_time()
    playhead = Playhead(exchange.script.steps)
    while not playhead.ended():
        await trio.sleep_until(started_at + playhead.due_s)
        steps = playhead.take(trio.current_time() - started_at)
        if isinstance(fault := steps[0].act, Fault):
            return await _send_fault(exchange, wire, fault, exchange.renderer.whole(chunks))
        truncated = truncated or isinstance(steps[0].act, TornFrame | SkippedChunk)
        chunks += _chunks(steps)
        exchange.record.sent(steps)
    return await _deliver(
        exchange, exchange.renderer.whole(chunks), "complete", truncated=truncated
    )


def _chunks(steps: tuple[Step, ...]) -> list[Chunk]:
    return [
        step.act for step in steps if not isinstance(step.act, Fault | TornFrame | SkippedChunk)
    ]


async def _deliver(exchange: Exchange, body: bytes, how: str, *, truncated: bool) -> After:
    response = whole_response(200, body[: len(body) // 2] if truncated else body, _JSON)
    await exchange.endpoint.send(response)
    exchange.record.head()
    exchange.record.end(how)
    return After.KEEP


async def _send_fault(exchange: Exchange, wire: WireFormat, fault: Fault, body: bytes) -> After:
    match fault.kind:
        case FaultKind.END:
            return await _deliver(exchange, body, fault.kind, truncated=True)
        case FaultKind.ERROR_FRAME:
            return await _fail(exchange, wire, fault)
        case FaultKind.NOISE:
            part = response_head(200, _headers(_JSON, "Transfer-Encoding", "chunked")) + NOISE
        case FaultKind.HANG:
            length = str(len(body) + 1)
            part = response_head(200, _headers(_JSON, "Content-Length", length)) + body
        case _:
            part = whole_response(200, body, _JSON)[: -len(body) // 2]
    await exchange.endpoint.send(part)
    exchange.record.head()
    if fault.kind in (FaultKind.STALL, FaultKind.HANG):
        return await silence()
    exchange.record.end(fault.kind)
    return After.RESET if fault.kind is FaultKind.RESET else After.CLOSE


async def _fail(exchange: Exchange, wire: WireFormat, fault: Fault) -> After:
    message = "The simulated model failed midway."
    error = Rejection(status=500, message=message, type="server_error", code=fault.code)
    await exchange.endpoint.send(whole_response(500, wire.error_body(error), _JSON))
    exchange.record.head()
    exchange.record.end(fault.kind)
    return After.KEEP


def _headers(type: str, name: str, value: str) -> list[tuple[str, str]]:
    return [("Content-Type", type), (name, value)]
