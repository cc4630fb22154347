"""What outlives a connection: scenario, history and witness, and the routes to them."""

import time
from urllib.parse import parse_qs

import msgspec
import trio

from actors.providers.simulated import Past, Scenario, Script, script
from actors.providers.simulated.history import History
from actors.providers.simulated.rejections import Rejection
from web.simulate.anthropic import Anthropic
from web.simulate.embeddings import Embeddings
from web.simulate.endpoint import Endpoint
from web.simulate.gemini import Gemini
from web.simulate.http1 import Request, whole_response
from web.simulate.ollama import Ollama
from web.simulate.openai_chat import OpenAIChat
from web.simulate.openai_responses import OpenAIResponses
from web.simulate.opening import play_opening, rejected
from web.simulate.stream import After, Scene, play_stream
from web.simulate.whole import play_whole
from web.simulate.wire import Ask, BadCall, Renderer, Wire
from web.simulate.witness import Sighting, Witness

_LONG = 65_536
"""Bytes of a request's body from which on it is read, and its script written, in a thread."""
_EXAMPLES = ("sim", "sim:tool", "sim:reasoning", "sim:echo", "sim:unicode")


class Simulation:
    """All that outlives a connection."""

    def __init__(self, scenario: Scenario, witness: Witness) -> None:
        self._scenario = scenario
        self._witness = witness
        self._history = History()
        self._wires: tuple[Wire, ...] = (
            OpenAIChat(),
            OpenAIResponses(),
            Anthropic(),
            Gemini(),
            Ollama(),
            Embeddings(),
        )

    async def plain(self, request: Request) -> bytes | None:
        """The response to a request that is no call to a model; None if it is one."""
        if request.method == "POST" and any(wire.takes(request.path) for wire in self._wires):
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

    async def prepare(self, request: Request) -> tuple[Wire, Ask, Script]:
        """Read a call and write its script; raises `BadCall`."""
        wire = self._wire_of(request)
        if len(request.body) < _LONG:
            ask = wire.read(request.target, request.body)
            return wire, ask, script(ask.call, self._scenario, self._past(ask))
        ask = await trio.to_thread.run_sync(wire.read, request.target, request.body)
        past = self._past(ask)
        return wire, ask, await trio.to_thread.run_sync(script, ask.call, self._scenario, past)

    def sight(self, request: Request, ask: Ask, script: Script) -> Sighting:
        """Tell the witness of a call."""
        return self._witness.begin(ask, request.headers.get("x-witness-id"), script)

    async def play(
        self, endpoint: Endpoint, wire: Wire, ask: Ask, script: Script, sighting: Sighting
    ) -> After:
        """Answer a call, or misbehave as its script says; raises `trio.BrokenResourceError`."""
        await trio.sleep(script.head_s)
        if script.opening is not None:
            return await play_opening(endpoint, script.opening, wire, sighting)
        stream_type = ask.stream_type or wire.stream_type
        scene = Scene(
            endpoint, script, renderer_of(wire, ask, script, sighting), sighting, stream_type
        )
        return await (play_stream(scene) if ask.stream else play_whole(scene, wire))

    def bad_call(self, request: Request, problem: BadCall) -> bytes:
        """The response to a body that is no call."""
        rejection = Rejection(status=400, message=str(problem), param=problem.param)
        wire = self._wire_of(request)
        return rejected(rejection, wire)

    def _wire_of(self, request: Request) -> Wire:
        return next(wire for wire in self._wires if wire.takes(request.path))

    def _past(self, ask: Ask) -> Past:
        return self._history.meet(ask.call, trio.current_time())

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


def renderer_of(wire: Wire, ask: Ask, script: Script, sighting: Sighting) -> Renderer:
    """What renders a script's answer to a call."""
    told = msgspec.structs.replace(ask, include_usage=ask.include_usage and script.tells_usage)
    return wire.renderer(told, sighting.number, int(time.time()))


def _json(status: int, value: object) -> bytes:
    return whole_response(status, msgspec.json.encode(value), "application/json")
