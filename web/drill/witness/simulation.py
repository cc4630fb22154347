"""Routes requests to wire formats and holds the state shared by all connections."""

import time
from functools import partial
from urllib.parse import parse_qs

import msgspec
import trio
from msgspec import Struct

from actors.providers.simulated import Scenario, Script, script
from actors.providers.simulated.script import History
from actors.runtime.offload import Cost, is_much, off_loop
from web.drill.witness.formats.anthropic import WIRE as ANTHROPIC
from web.drill.witness.formats.base import IncomingCall, Renderer, WireFormat
from web.drill.witness.formats.embeddings import WIRE as EMBEDDINGS
from web.drill.witness.formats.gemini import WIRE as GEMINI
from web.drill.witness.formats.ollama import WIRE as OLLAMA
from web.drill.witness.formats.openai_chat import WIRE as OPENAI_CHAT
from web.drill.witness.formats.openai_responses import WIRE as OPENAI_RESPONSES
from web.drill.witness.http1 import Request, whole_response
from web.drill.witness.observations import Witness, WitnessedRequest

_EXAMPLES = ("sim", "sim:tool", "sim:reasoning", "sim:echo", "sim:unicode")
_WIRES = (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC, GEMINI, OLLAMA, EMBEDDINGS)


class PreparedCall(Struct, frozen=True):
    """A call with everything that its answer needs."""

    wire: WireFormat
    incoming: IncomingCall
    script: Script
    renderer: Renderer
    record: WitnessedRequest


class Simulation:
    """State shared by all connections: scenario, history of calls and witness."""

    def __init__(self, scenario: Scenario, witness: Witness) -> None:
        self._scenario = scenario
        self._witness = witness
        self._history = History()

    async def plain(self, request: Request) -> bytes:
        """Return the response to a request that isn't a model call."""
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

    async def prepare(self, wire: WireFormat, request: Request) -> PreparedCall:
        """Parse a call, make its script and start its record. Raises `ApiError`."""
        large = is_much(len(request.body), Cost.BODY)
        incoming = await off_loop(large, None, partial(wire.read, request.target, request.body))
        past = self._history.note(incoming.call, trio.current_time())
        make = partial(script, incoming.call, self._scenario, past)
        made = await off_loop(large, None, make)
        record = self._witness.begin(incoming, request.headers.get("x-witness-id"), made.steps)
        usage = incoming.include_usage and made.has_usage
        rendered = msgspec.structs.replace(incoming, include_usage=usage)
        renderer = wire.renderer(rendered, record.number, int(time.time()))
        return PreparedCall(wire, incoming, made, renderer, record)

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


def wire_for(request: Request) -> WireFormat | None:
    """Return the wire format of a model call; None for any other request."""
    wires = (wire for wire in _WIRES if request.method == "POST" and wire.matches(request.path))
    return next(wires, None)


def _json(status: int, value: object) -> bytes:
    return whole_response(status, msgspec.json.encode(value))
