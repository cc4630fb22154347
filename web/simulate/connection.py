"""One connection: request after request, with an eye on the peer all the time."""

import trio

from actors.providers.simulated import Script
from web.simulate.endpoint import Endpoint
from web.simulate.http1 import BadRequest, Request, RequestReader, whole_response
from web.simulate.simulation import Simulation
from web.simulate.stream import After
from web.simulate.websocket import accept_socket, serve_socket
from web.simulate.wire import Ask, BadCall, Wire
from web.simulate.witness import ClosedBy, Sighting


async def handle(endpoint: Endpoint, simulation: Simulation) -> None:
    """Serve one connection until either side ends it, and close it."""
    connection = _Connection(endpoint, simulation)
    after = After.CLOSE
    try:
        after = await connection.serve()
    finally:
        connection.stopped()
        if after is After.RESET:
            endpoint.reset()
        else:
            endpoint.close()


class _Connection:
    def __init__(self, endpoint: Endpoint, simulation: Simulation) -> None:
        self._endpoint = endpoint
        self._simulation = simulation
        self._reader = RequestReader(endpoint)
        self._sighting: Sighting | None = None
        """The last call on this connection."""

    async def serve(self) -> After:
        after = After.KEEP
        while after is After.KEEP:
            try:
                request = await self._reader.read()
                if request is None:
                    self._peer_left("fin")
                    return After.CLOSE
                after = await self._respond(request)
            except BadRequest as problem:
                await self._refuse(problem)
                return After.CLOSE
            except trio.BrokenResourceError:
                self._peer_left("reset")
                return After.CLOSE
        return after

    def stopped(self) -> None:
        """Whatever was still being answered ends here."""
        if self._sighting is not None:
            self._sighting.end("stopped")

    async def _respond(self, request: Request) -> After:
        if (upgrade := accept_socket(request)) is not None:
            await self._endpoint.send(upgrade)
            return await serve_socket(
                self._endpoint, self._simulation, request, self._reader.rest()
            )
        if (plain := await self._simulation.plain(request)) is not None:
            await self._endpoint.send(plain)
            return After.KEEP
        try:
            wire, ask, script = await self._simulation.prepare(request)
        except BadCall as problem:
            await self._endpoint.send(self._simulation.bad_call(request, problem))
            return After.KEEP
        self._sighting = self._simulation.sight(request, ask, script)
        return await self._play(wire, ask, script, self._sighting)

    async def _play(self, wire: Wire, ask: Ask, script: Script, sighting: Sighting) -> After:
        after = After.CLOSE
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope)
            try:
                after = await self._simulation.play(self._endpoint, wire, ask, script, sighting)
            except trio.BrokenResourceError:
                self._peer_left("reset")
            nursery.cancel_scope.cancel()
        return after

    async def _watch(self, answering: trio.CancelScope) -> None:
        """Read all the time, so that the peer's leaving is seen at once, also in silence."""
        try:
            while data := await self._endpoint.receive():
                self._reader.keep(data)
            self._peer_left("fin")
        except (trio.BrokenResourceError, BadRequest):
            self._peer_left("reset")
        answering.cancel()

    def _peer_left(self, by: ClosedBy) -> None:
        if self._sighting is not None:
            self._sighting.closed(by)

    async def _refuse(self, problem: BadRequest) -> None:
        body = str(problem).encode()
        try:
            await self._endpoint.send(whole_response(problem.status, body, "text/plain"))
        except trio.BrokenResourceError:
            self._peer_left("reset")
