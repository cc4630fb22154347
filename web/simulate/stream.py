"""Playing a script as a stream: one write for all that is due, and the faults in their places."""

from enum import Enum, auto

import trio
from msgspec import Struct

from actors.providers.simulated import Script, Step
from actors.providers.simulated.behaviour import Fault, FaultKind
from actors.providers.simulated.playhead import Playhead
from actors.providers.simulated.steps import Torn
from web.simulate.endpoint import Endpoint
from web.simulate.framing import Chunked, Framing
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
    framing: Framing = Chunked()


async def play_stream(scene: Scene) -> After:
    """Send the head, then each step when it is due; raises `trio.BrokenResourceError`."""
    framing = scene.framing
    await scene.endpoint.send(framing.head(scene.stream_type))
    scene.sighting.head()
    begun_at = trio.current_time()
    playhead = Playhead(scene.script.steps)
    while not playhead.ended():
        await trio.sleep_until(begun_at + playhead.due_s)
        steps = playhead.take(trio.current_time() - begun_at)
        if isinstance(fault := steps[0].act, Fault):
            return await _play_fault(scene, fault)
        data = framing.data(b"".join([_frame(scene.renderer, step) for step in steps]))
        await scene.endpoint.send(data + _tail(scene) if playhead.ended() else data)
        scene.sighting.sent(steps)
    scene.sighting.end("complete")
    return After.KEEP


async def silence() -> After:
    """Say nothing more; the peer's leaving ends it."""
    await trio.sleep_forever()
    raise AssertionError


async def _play_fault(scene: Scene, fault: Fault) -> After:
    endpoint, renderer, framing = scene.endpoint, scene.renderer, scene.framing
    match fault.kind:
        case FaultKind.STALL | FaultKind.HANG:
            return await silence()
        case FaultKind.RESET:
            after = After.RESET
        case FaultKind.END:
            await endpoint.send(framing.farewell())
            after = After.KEEP
        case FaultKind.ERROR_FRAME:
            frames = framing.data(renderer.error_frame(fault.code))
            await endpoint.send(frames + framing.last())
            after = After.KEEP
        case FaultKind.BREAK:
            await endpoint.send(framing.half(renderer.broken_off()))
            after = After.CLOSE
        case FaultKind.NOISE:
            await endpoint.send(NOISE)
            after = After.CLOSE
        case _:
            after = After.CLOSE
    scene.sighting.end(fault.kind)
    return after


def _frame(renderer: Renderer, step: Step) -> bytes:
    act = step.act
    if isinstance(act, Torn):
        return renderer.torn(act.chunk)
    return b"" if isinstance(act, Fault) else renderer.frame(act)


def _tail(scene: Scene) -> bytes:
    end = scene.renderer.end() if scene.script.done else b""
    return scene.framing.data(end) + scene.framing.last()
