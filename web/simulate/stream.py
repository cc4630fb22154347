"""Playing a script as a stream: one write for all that is due, and the faults in their places."""

from enum import Enum, auto

import trio
from msgspec import Struct

from actors.providers.simulated import Script, Step
from actors.providers.simulated.behaviour import Fault, FaultKind
from actors.providers.simulated.playhead import Playhead
from actors.providers.simulated.steps import Torn
from web.simulate.endpoint import Endpoint
from web.simulate.http1 import LAST_CHUNK, chunk, response_head
from web.simulate.wire import Renderer
from web.simulate.witness import Sighting

NOISE = b"\xff\xfe this is not a chunk \x00\r\n"


class After(Enum):
    """What becomes of the connection after a response."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()


class Scene(Struct, frozen=True):
    """All that it takes to play one answer to one caller."""

    endpoint: Endpoint
    script: Script
    renderer: Renderer
    sighting: Sighting
    stream_type: str


async def play_stream(scene: Scene) -> After:
    """Send the head, then each step when it is due; raises `trio.BrokenResourceError`."""
    await scene.endpoint.send(_head(scene.stream_type))
    scene.sighting.head()
    begun_at = trio.current_time()
    playhead = Playhead(scene.script.steps)
    while not playhead.ended():
        await trio.sleep_until(begun_at + playhead.due_s)
        steps = playhead.take(trio.current_time() - begun_at)
        if isinstance(fault := steps[0].act, Fault):
            return await _play_fault(scene, fault)
        data = chunk(b"".join([_frame(scene.renderer, step) for step in steps]))
        await scene.endpoint.send(data + _tail(scene) if playhead.ended() else data)
        scene.sighting.sent(steps)
    scene.sighting.end("complete")
    return After.KEEP


async def silence() -> After:
    """Say nothing more; the peer's leaving ends it."""
    await trio.sleep_forever()
    raise AssertionError


async def _play_fault(scene: Scene, fault: Fault) -> After:
    endpoint, renderer = scene.endpoint, scene.renderer
    match fault.kind:
        case FaultKind.STALL | FaultKind.HANG:
            return await silence()
        case FaultKind.RESET:
            after = After.RESET
        case FaultKind.END:
            await endpoint.send(LAST_CHUNK)
            after = After.KEEP
        case FaultKind.ERROR_FRAME:
            await endpoint.send(chunk(renderer.error_frame(fault.code)) + LAST_CHUNK)
            after = After.KEEP
        case FaultKind.BREAK:
            # The chunk promises more than comes: the cut is inside the framing, too.
            half = renderer.broken_off()
            await endpoint.send(b"%x\r\n%b" % (2 * len(half), half))
            after = After.CLOSE
        case FaultKind.NOISE:
            await endpoint.send(NOISE)
            after = After.CLOSE
        case _:
            after = After.CLOSE
    scene.sighting.end(fault.kind)
    return after


def _head(stream_type: str) -> bytes:
    headers = [
        ("Content-Type", stream_type),
        ("Cache-Control", "no-cache"),
        ("Transfer-Encoding", "chunked"),
    ]
    return response_head(200, headers)


def _frame(renderer: Renderer, step: Step) -> bytes:
    act = step.act
    if isinstance(act, Torn):
        return renderer.torn(act.chunk)
    return b"" if isinstance(act, Fault) else renderer.frame(act)


def _tail(scene: Scene) -> bytes:
    end = scene.renderer.end() if scene.script.done else b""
    return chunk(end) + LAST_CHUNK
