"""Playing a script as one response that comes when the answer is made, or breaks off there."""

import trio

from actors.chunks import Chunk, SkippedChunk
from actors.providers.simulated import Step
from actors.providers.simulated.behaviour import Fault, FaultKind
from actors.providers.simulated.playhead import Playhead
from actors.providers.simulated.rejections import Rejection
from actors.providers.simulated.steps import Torn
from web.simulate.http1 import response_head, whole_response
from web.simulate.stream import NOISE, After, Scene, silence
from web.simulate.wire import Wire

_JSON = "application/json"


async def play_whole(scene: Scene, wire: Wire) -> After:
    """Wait as long as the stream would take, then send the answer in one piece.

    Faults inside the body come half-way through it, at their own time. Malformed frames become
    a body that ends half-way although it says that it is whole.
    """
    chunks: list[Chunk] = []
    spoilt = False
    begun_at = trio.current_time()
    playhead = Playhead(scene.script.steps)
    while not playhead.ended():
        await trio.sleep_until(begun_at + playhead.due_s)
        steps = playhead.take(trio.current_time() - begun_at)
        if isinstance(fault := steps[0].act, Fault):
            return await _play_fault(scene, wire, fault, scene.renderer.whole(chunks))
        spoilt = spoilt or isinstance(steps[0].act, Torn | SkippedChunk)
        chunks += _chunks(steps)
        scene.sighting.sent(steps)
    return await _deliver(scene, scene.renderer.whole(chunks), "complete", spoilt=spoilt)


def _chunks(steps: tuple[Step, ...]) -> list[Chunk]:
    return [step.act for step in steps if not isinstance(step.act, Fault | Torn | SkippedChunk)]


async def _deliver(scene: Scene, body: bytes, how: str, *, spoilt: bool) -> After:
    response = whole_response(200, body[: len(body) // 2] if spoilt else body, _JSON)
    await scene.endpoint.send(response)
    scene.sighting.head()
    scene.sighting.end(how)
    return After.KEEP


async def _play_fault(scene: Scene, wire: Wire, fault: Fault, body: bytes) -> After:
    match fault.kind:
        case FaultKind.END:
            return await _deliver(scene, body, fault.kind, spoilt=True)
        case FaultKind.ERROR_FRAME:
            return await _fail(scene, wire, fault)
        case FaultKind.NOISE:
            part = response_head(200, _headers(_JSON, "Transfer-Encoding", "chunked")) + NOISE
        case FaultKind.HANG:
            length = str(len(body) + 1)
            part = response_head(200, _headers(_JSON, "Content-Length", length)) + body
        case _:
            part = whole_response(200, body, _JSON)[: -len(body) // 2]
    await scene.endpoint.send(part)
    scene.sighting.head()
    if fault.kind in (FaultKind.STALL, FaultKind.HANG):
        return await silence()
    scene.sighting.end(fault.kind)
    return After.RESET if fault.kind is FaultKind.RESET else After.CLOSE


async def _fail(scene: Scene, wire: Wire, fault: Fault) -> After:
    message = "The simulated model failed midway."
    error = Rejection(status=500, message=message, type="server_error", code=fault.code)
    await scene.endpoint.send(whole_response(500, wire.error_body(error), _JSON))
    scene.sighting.head()
    scene.sighting.end(fault.kind)
    return After.KEEP


def _headers(type: str, name: str, value: str) -> list[tuple[str, str]]:
    return [("Content-Type", type), (name, value)]
