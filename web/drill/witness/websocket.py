"""Serves Responses calls over a WebSocket, one after the other on one connection.

Answers and faults are those of the HTTP stream; each event is one message.
"""

import msgspec
import trio
from wsproto.utilities import generate_accept_token

from actors.providers.simulated import Script
from actors.providers.simulated.options.behaviour import Fault, FaultKind
from actors.providers.simulated.rejections import Rejection
from web.drill.witness.formats.base import IncomingCall, WireFormat
from web.drill.witness.http1 import Endpoint, Request, response_head
from web.drill.witness.observations import ClosedBy, WitnessedRequest
from web.drill.witness.send_stream import NOISE, After, Exchange, send_stream, silence
from web.drill.witness.simulation import Simulation, renderer_of
from web.drill.witness.websocket_frames import MessageFraming, Messages
from web.http.api_error import ApiError, invalid
from web.http.json_body import json_object

_PATH = "/v1/responses"


def accept_socket(request: Request) -> bytes | None:
    """Return the response to a handshake (RFC 6455 §4.2.1), or None for any other request."""
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
    """Answer calls until either side ends the connection.

    `early` are bytes received after the handshake.
    """
    session = _Session(endpoint, simulation, handshake)
    try:
        session.feed(early)
        return await session.serve()
    finally:
        session.stop()


class _Session:
    def __init__(self, endpoint: Endpoint, simulation: Simulation, handshake: Request) -> None:
        self._endpoint = endpoint
        self._simulation = simulation
        self._handshake = handshake
        self._messages = Messages()
        self._record: WitnessedRequest | None = None
        """Record of the last call on this connection."""

    def feed(self, data: bytes) -> None:
        """Take received bytes; pongs and close replies are sent later."""
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

    def stop(self) -> None:
        """Record the end of an answer that is still being sent."""
        if self._record is not None:
            self._record.end("stopped")

    async def _message(self) -> bytes | None:
        """Return the next message, or None at the end of the connection."""
        while not self._messages.received:
            await self._reply()
            if self._messages.closed or not (data := await self._endpoint.receive()):
                return None
            self.feed(data)
        return self._messages.received.pop(0)

    async def _reply(self) -> None:
        if replies := self._messages.replies():
            await self._endpoint.send(replies)

    async def _answer(self, message: bytes) -> After:
        try:
            request = self._request(message)
            wire, incoming, script = await self._simulation.prepare(request)
        except ApiError as error:
            rejection = Rejection(status=400, message=error.info.message, param=error.info.param)
            await self._endpoint.send(self._messages.text(error_event(rejection)))
            return After.KEEP
        self._record = self._simulation.record_call(request, incoming, script)
        return await self._watched(wire, incoming, script, self._record)

    def _request(self, message: bytes) -> Request:
        """Return the call in a message as the equivalent POST request. Raises `ApiError`."""
        document = json_object(message, "message")
        if document.pop("type", None) != "response.create":
            raise invalid("type must be response.create", param="type")
        body = msgspec.json.encode({**document, "stream": True})
        return msgspec.structs.replace(self._handshake, method="POST", body=body)

    async def _watched(
        self, wire: WireFormat, incoming: IncomingCall, script: Script, record: WitnessedRequest
    ) -> After:
        after = After.CLOSE
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope)
            try:
                after = await self._send_answer(wire, incoming, script, record)
            except trio.BrokenResourceError:
                self._peer_left("reset")
            nursery.cancel_scope.cancel()
        return after

    async def _watch(self, answering: trio.CancelScope) -> None:
        """Read while answering, so that a disconnect is noticed at once, even during a pause."""
        try:
            while not self._messages.closed and (data := await self._endpoint.receive()):
                self.feed(data)
            self._peer_left("fin")
        except trio.BrokenResourceError:
            self._peer_left("reset")
        answering.cancel()

    async def _send_answer(
        self, wire: WireFormat, incoming: IncomingCall, script: Script, record: WitnessedRequest
    ) -> After:
        await trio.sleep(script.head_s)
        if script.opening is not None:
            return await self._send_opening(script.opening, record)
        renderer = renderer_of(wire, incoming, script, record)
        framing = MessageFraming(self._messages)
        return await send_stream(Exchange(self._endpoint, script, renderer, record, "", framing))

    async def _send_opening(self, opening: Rejection | Fault, record: WitnessedRequest) -> After:
        if isinstance(opening, Rejection):
            await self._endpoint.send(self._messages.text(error_event(opening)))
            record.head()
            record.end("rejected")
            return After.KEEP
        if opening.kind is FaultKind.SILENT:
            return await silence()
        record.end(opening.kind)
        if opening.kind is FaultKind.REFUSE:
            return After.RESET
        await self._endpoint.send(NOISE)  # on a WebSocket, HTML and garbage are both just noise
        return After.CLOSE

    def _peer_left(self, by: ClosedBy) -> None:
        if self._record is not None:
            self._record.closed(by)


def error_event(rejection: Rejection) -> bytes:
    """Return a rejection as an error event, with status and headers in the event."""
    retry = rejection.retry_after_s
    headers = {} if retry is None else {"headers": {"Retry-After": f"{retry:g}"}}
    error = {
        "message": rejection.message,
        "type": rejection.type,
        "param": rejection.param,
        "code": rejection.code,
        **headers,
    }
    return msgspec.json.encode({"type": "error", "status": rejection.status, "error": error})
