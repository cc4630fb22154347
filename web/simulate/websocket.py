"""Responses over a WebSocket: one call after the other on one connection.

The answers are those of the stream over HTTP, faults too; each event is a message of its own.
"""

import msgspec
import trio
from wsproto.utilities import generate_accept_token

from actors.providers.simulated import Script
from actors.providers.simulated.behaviour import Fault, FaultKind
from actors.providers.simulated.rejections import Rejection
from web.simulate.endpoint import Endpoint
from web.simulate.http1 import Request, response_head
from web.simulate.openai_responses import error_event
from web.simulate.simulation import Simulation, renderer_of
from web.simulate.stream import NOISE, After, Scene, play_stream, silence
from web.simulate.websocket_frames import AsMessages, Messages
from web.simulate.wire import Ask, BadCall, Wire
from web.simulate.witness import ClosedBy, Sighting

_PATH = "/v1/responses"


def accept_socket(request: Request) -> bytes | None:
    """The answer to a handshake; None where the request is none (RFC 6455 §4.2.1)."""
    key = request.headers.get("sec-websocket-key")
    upgrade = request.headers.get("upgrade", "").lower()
    if (request.method, request.path, upgrade) != ("GET", _PATH, "websocket") or key is None:
        return None
    accept = generate_accept_token(key.encode("latin-1")).decode()
    headers = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept),
    ]
    return response_head(101, headers)


async def serve_socket(
    endpoint: Endpoint, simulation: Simulation, handshake: Request, early: bytes
) -> After:
    """Answer calls until either side ends the connection; `early` came behind the handshake."""
    session = _Session(endpoint, simulation, handshake)
    try:
        session.feed(early)
        return await session.serve()
    finally:
        session.stopped()


class _Session:
    def __init__(self, endpoint: Endpoint, simulation: Simulation, handshake: Request) -> None:
        self._endpoint = endpoint
        self._simulation = simulation
        self._handshake = handshake
        self._messages = Messages()
        self._sighting: Sighting | None = None
        """The last call on this connection."""

    def feed(self, data: bytes) -> None:
        """Take what came; replies to it are sent with the next message."""
        self._messages.feed(data)

    async def serve(self) -> After:
        after = After.KEEP
        try:
            while after is After.KEEP:
                message = await self._message()
                if message is None:
                    self._peer_left("fin")
                    return After.CLOSE
                after = await self._answer(message)
            if self._messages.closed:
                await self._reply()
        except trio.BrokenResourceError:
            self._peer_left("reset")
            return After.CLOSE
        return after

    def stopped(self) -> None:
        """Whatever was still being answered ends here."""
        if self._sighting is not None:
            self._sighting.end("stopped")

    async def _message(self) -> bytes | None:
        """The next message; None at the end of the connection."""
        while not self._messages.arrived:
            await self._reply()
            if self._messages.closed or not (data := await self._endpoint.receive()):
                return None
            self.feed(data)
        return self._messages.arrived.pop(0)

    async def _reply(self) -> None:
        if replies := self._messages.replies():
            await self._endpoint.send(replies)

    async def _answer(self, message: bytes) -> After:
        try:
            request = self._request(message)
            wire, ask, script = await self._simulation.prepare(request)
        except BadCall as problem:
            rejection = Rejection(status=400, message=str(problem), param=problem.param)
            await self._endpoint.send(self._messages.text(error_event(rejection)))
            return After.KEEP
        self._sighting = self._simulation.sight(request, ask, script)
        return await self._watched(wire, ask, script, self._sighting)

    def _request(self, message: bytes) -> Request:
        """The call in a message, as it would be posted; raises `BadCall`."""
        try:
            document = msgspec.json.decode(message, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise BadCall(f"the message is no JSON object: {problem}") from None
        if document.pop("type", None) != "response.create":
            raise BadCall("type has to be response.create", "type")
        body = msgspec.json.encode({**document, "stream": True})
        return msgspec.structs.replace(self._handshake, method="POST", body=body)

    async def _watched(self, wire: Wire, ask: Ask, script: Script, sighting: Sighting) -> After:
        after = After.CLOSE
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope)
            try:
                after = await self._play(wire, ask, script, sighting)
            except trio.BrokenResourceError:
                self._peer_left("reset")
            nursery.cancel_scope.cancel()
        return after

    async def _watch(self, answering: trio.CancelScope) -> None:
        """Read all the time, so that the peer's leaving is seen at once, also in silence."""
        try:
            while not self._messages.closed and (data := await self._endpoint.receive()):
                self.feed(data)
            self._peer_left("fin")
        except trio.BrokenResourceError:
            self._peer_left("reset")
        answering.cancel()

    async def _play(self, wire: Wire, ask: Ask, script: Script, sighting: Sighting) -> After:
        await trio.sleep(script.head_s)
        if script.opening is not None:
            return await self._play_opening(script.opening, sighting)
        renderer = renderer_of(wire, ask, script, sighting)
        framing = AsMessages(self._messages)
        return await play_stream(Scene(self._endpoint, script, renderer, sighting, "", framing))

    async def _play_opening(self, opening: Rejection | Fault, sighting: Sighting) -> After:
        if isinstance(opening, Rejection):
            await self._endpoint.send(self._messages.text(error_event(opening)))
            sighting.head()
            sighting.end("rejected")
            return After.KEEP
        if opening.kind is FaultKind.SILENT:
            return await silence()
        sighting.end(opening.kind)
        if opening.kind is FaultKind.REFUSE:
            return After.RESET
        await self._endpoint.send(NOISE)  # neither HTML nor garbage has another shape here
        return After.CLOSE

    def _peer_left(self, by: ClosedBy) -> None:
        if self._sighting is not None:
            self._sighting.closed(by)
