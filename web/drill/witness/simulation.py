"""Routes requests to wire formats and holds the state shared by all connections.

Scripts that open with a fault or an error are answered here; the others by `stream` and `whole`.
"""

import time
from urllib.parse import parse_qs

import msgspec
import trio

from actors.providers.simulated import PriorCalls, Scenario, Script, script
from actors.providers.simulated.options.behaviour import Fault, FaultKind
from actors.providers.simulated.rejections import Rejection
from actors.providers.simulated.script import History
from web.drill.witness.formats.anthropic import Anthropic
from web.drill.witness.formats.base import IncomingCall, Renderer, WireFormat
from web.drill.witness.formats.embeddings import Embeddings
from web.drill.witness.formats.gemini import Gemini
from web.drill.witness.formats.ollama import Ollama
from web.drill.witness.formats.openai_chat import OpenAIChat
from web.drill.witness.formats.openai_responses import OpenAIResponses
from web.drill.witness.http1 import Endpoint, Request, whole_response
from web.drill.witness.observations import Witness, WitnessedRequest
from web.drill.witness.send_stream import After, Exchange, send_stream, silence
from web.drill.witness.send_whole import send_whole
from web.http.api_error import ApiError

_HTML = b"""<!DOCTYPE html>
<html><head><title>Simulated gateway</title></head>
<body><h1>This is not the answer that you asked for.</h1></body></html>
"""
_GARBAGE = b"\x16\x03\x01\x02\x00\x01 this is not HTTP\r\n\r\n"

_LARGE = 65_536
"""Body size in bytes from which a request is parsed and its script made in a thread."""
_EXAMPLES = ("sim", "sim:tool", "sim:reasoning", "sim:echo", "sim:unicode")


class Simulation:
    """State shared by all connections: scenario, history of calls and witness."""

    def __init__(self, scenario: Scenario, witness: Witness) -> None:
        self._scenario = scenario
        self._witness = witness
        self._history = History()
        self._wires: tuple[WireFormat, ...] = (
            OpenAIChat(),
            OpenAIResponses(),
            Anthropic(),
            Gemini(),
            Ollama(),
            Embeddings(),
        )

    async def plain(self, request: Request) -> bytes | None:
        """Return the response to a request that isn't a model call; None for a model call."""
        if request.method == "POST" and any(wire.matches(request.path) for wire in self._wires):
            return None
        match request.method, request.path:
            case "GET", "/health":
                return _json(200, {"status": "ok"})
            case "GET", "/v1/models":
                return _json(200, self._models())
            case "GET", "/witness":
                return await self._reports(request.query)
            case "DELETE", "/witness":
                self._witness.forget()
                return _json(200, {"requests": []})
            case _:
                message = f"There is no {request.method} {request.path} here."
                return _json(404, {"error": {"message": message, "type": "not_found"}})

    async def prepare(self, request: Request) -> tuple[WireFormat, IncomingCall, Script]:
        """Parse a call and make its script. Raises `ApiError`."""
        wire = self._wire_for(request)
        if len(request.body) < _LARGE:
            incoming = wire.read(request.target, request.body)
            return (
                wire,
                incoming,
                script(incoming.call, self._scenario, self._prior_calls(incoming)),
            )
        incoming = await trio.to_thread.run_sync(wire.read, request.target, request.body)
        past = self._prior_calls(incoming)
        return (
            wire,
            incoming,
            await trio.to_thread.run_sync(script, incoming.call, self._scenario, past),
        )

    def record_call(
        self, request: Request, incoming: IncomingCall, script: Script
    ) -> WitnessedRequest:
        """Start the witness's record of a call."""
        return self._witness.begin(incoming, request.headers.get("x-witness-id"), script)

    async def answer(
        self,
        endpoint: Endpoint,
        wire: WireFormat,
        incoming: IncomingCall,
        script: Script,
        record: WitnessedRequest,
    ) -> After:
        """Send the script's answer or faults. Raises `trio.BrokenResourceError`."""
        await trio.sleep(script.head_s)
        if script.opening is not None:
            return await send_opening(endpoint, script.opening, wire, record)
        stream_type = incoming.stream_type
        exchange = Exchange(
            endpoint, script, renderer_of(wire, incoming, script, record), record, stream_type
        )
        return await (send_stream(exchange) if incoming.stream else send_whole(exchange, wire))

    def bad_call(self, request: Request, error: ApiError) -> bytes:
        """Return the response to an invalid call."""
        rejection = Rejection(status=400, message=error.info.message, param=error.info.param)
        wire = self._wire_for(request)
        return rejected(rejection, wire)

    def _wire_for(self, request: Request) -> WireFormat:
        return next(wire for wire in self._wires if wire.matches(request.path))

    def _prior_calls(self, incoming: IncomingCall) -> PriorCalls:
        return self._history.note(incoming.call, trio.current_time())

    def _models(self) -> dict[str, object]:
        names = [*self._scenario.models, *_EXAMPLES]
        entries = [
            {"id": name, "object": "model", "created": 0, "owned_by": "trouper"} for name in names
        ]
        return {"object": "list", "data": entries}

    async def _reports(self, query: str) -> bytes:
        wanted = parse_qs(query).get("id")
        reports = self._witness.reports(wanted[0] if wanted else None)
        return await trio.to_thread.run_sync(_json, 200, {"requests": reports})


def renderer_of(
    wire: WireFormat, incoming: IncomingCall, script: Script, record: WitnessedRequest
) -> Renderer:
    """Return the renderer of a script's answer to a call."""
    incoming = msgspec.structs.replace(
        incoming, include_usage=incoming.include_usage and script.has_usage
    )
    return wire.renderer(incoming, record.number, int(time.time()))


async def send_opening(
    endpoint: Endpoint, opening: Rejection | Fault, wire: WireFormat, record: WitnessedRequest
) -> After:
    """Send the script's replacement for the response."""
    if isinstance(opening, Rejection):
        await endpoint.send(rejected(opening, wire))
        record.head()
        record.end("rejected")
        return After.KEEP
    match opening.kind:
        case FaultKind.SILENT:
            return await silence()
        case FaultKind.HTML:
            await endpoint.send(whole_response(opening.status, _HTML, "text/html; charset=utf-8"))
            record.head()
            after = After.KEEP
        case FaultKind.GARBAGE:
            await endpoint.send(_GARBAGE)
            after = After.CLOSE
        case _:
            after = After.RESET
    record.end(opening.kind)
    return after


def rejected(rejection: Rejection, wire: WireFormat) -> bytes:
    """Return an error response in the shape of the wire format."""
    retry = rejection.retry_after_s
    headers = [] if retry is None else [("Retry-After", f"{retry:g}")]
    body = wire.error_body(rejection)
    return whole_response(rejection.status, body, "application/json", headers)


def _json(status: int, value: object) -> bytes:
    return whole_response(status, msgspec.json.encode(value), "application/json")
