"""Serves one HTTP connection and records when its peer disconnects."""

import trio

from actors.providers.simulated import Script
from web.drill.witness.formats.base import IncomingCall, WireFormat
from web.drill.witness.http1 import BadRequest, Endpoint, Request, RequestReader, whole_response
from web.drill.witness.observations import ClosedBy, WitnessedRequest
from web.drill.witness.send_stream import After
from web.drill.witness.simulation import Simulation
from web.drill.witness.websocket import accept_socket, serve_socket
from web.http.api_error import ApiError


async def handle(endpoint: Endpoint, simulation: Simulation) -> None:
    """Serve one connection until either side ends it, and close it."""
    connection = _Connection(endpoint, simulation)
    after = After.CLOSE
    try:
        after = await connection.serve()
    finally:
        connection.stop()
        if after is After.RESET:
            endpoint.reset()
        else:
            endpoint.close()


class _Connection:
    def __init__(self, endpoint: Endpoint, simulation: Simulation) -> None:
        self._endpoint = endpoint
        self._simulation = simulation
        self._reader = RequestReader(endpoint)
        self._record: WitnessedRequest | None = None
        """Record of the last call on this connection."""

    async def serve(self) -> After:
        after = After.KEEP
        while after is After.KEEP:
            try:
                request = await self._reader.read()
                if request is None:
                    self._peer_left("fin")
                    return After.CLOSE
                after = await self._respond(request)
            except BadRequest as error:
                await self._refuse(error)
                return After.CLOSE
            except trio.BrokenResourceError:
                self._peer_left("reset")
                return After.CLOSE
        return after

    def stop(self) -> None:
        """Record the end of an answer that is still being sent."""
        if self._record is not None:
            self._record.end("stopped")

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
            wire, incoming, script = await self._simulation.prepare(request)
        except ApiError as error:
            await self._endpoint.send(self._simulation.bad_call(request, error))
            return After.KEEP
        self._record = self._simulation.record_call(request, incoming, script)
        return await self._send_answer(wire, incoming, script, self._record)

    async def _send_answer(
        self, wire: WireFormat, incoming: IncomingCall, script: Script, record: WitnessedRequest
    ) -> After:
        after = After.CLOSE
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope)
            try:
                after = await self._simulation.answer(
                    self._endpoint, wire, incoming, script, record
                )
            except trio.BrokenResourceError:
                self._peer_left("reset")
            nursery.cancel_scope.cancel()
        return after

    async def _watch(self, answering: trio.CancelScope) -> None:
        """Read while answering, so that a disconnect is noticed at once, even during a pause."""
        try:
            while data := await self._endpoint.receive():
                self._reader.keep(data)
            self._peer_left("fin")
        except (trio.BrokenResourceError, BadRequest):
            self._peer_left("reset")
        answering.cancel()

    def _peer_left(self, by: ClosedBy) -> None:
        if self._record is not None:
            self._record.closed(by)

    async def _refuse(self, error: BadRequest) -> None:
        body = str(error).encode()
        try:
            await self._endpoint.send(whole_response(error.status, body, "text/plain"))
        except trio.BrokenResourceError:
            self._peer_left("reset")
