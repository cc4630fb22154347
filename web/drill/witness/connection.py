"""Serves one connection, HTTP or WebSocket, and records when its peer disconnects."""

import trio

from web.drill.witness.answers import Answer, PreparedCall
from web.drill.witness.formats.base import rejection_of
from web.drill.witness.http1 import (
    After,
    Endpoint,
    HttpTransport,
    Request,
    whole_response,
)
from web.drill.witness.observations import ClosedBy, WitnessedRequest
from web.drill.witness.simulation import Simulation, wire_for
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
        if after is After.RESET:
            endpoint.reset()
        else:
            endpoint.close()


class _Connection:
    def __init__(self, endpoint: Endpoint, simulation: Simulation) -> None:
        self._endpoint = endpoint
        self._simulation = simulation
        self._http = HttpTransport(endpoint)
        self._transport: Transport = self._http
        self._record: WitnessedRequest | None = None
        """Record of the last call on this connection."""

    async def serve(self) -> After:
        after = After.KEEP
        try:
            while after is After.KEEP:
                request = await self._transport.read()
                if request is None:
                    self._peer_left("fin")
                    return After.CLOSE
                after = await self._respond(request)
        except ApiError as error:
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

    async def _refuse(self, error: ApiError) -> None:
        body = error.info.message.encode()
        try:
            await self._endpoint.send(whole_response(error.info.status, body, "text/plain"))
        except trio.BrokenResourceError:
            self._peer_left("reset")
