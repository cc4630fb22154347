"""Serves `/v1/responses`, OpenAI's Responses: creation, compaction and the response resource."""

from functools import partial

from quart import Blueprint, Response, request

from actors.turn.events import Ended
from actors.turn.state import Turn
from web.dialects.openai_responses.response import ANSWER_REASONS
from web.dialects.openai_responses.stream import DIALECT
from web.dialects.turn_errors import ending_error
from web.http.responses import error_response, json_response, offloaded_response
from web.service import Service, Surface
from web.surfaces.requests import receive
from web.surfaces.responses.compact import compacted
from web.surfaces.responses.create import count_input, start_response, summary_request
from web.surfaces.responses.history.history import Caller
from web.surfaces.responses.history.model_context import PreparedRequest, prepare
from web.surfaces.responses.request import ResponsesRequest, read_responses_request
from web.surfaces.responses.resource import ResponseResource
from web.surfaces.validation import wrong
from web.turns.start import answer, begin, turn_headers

_BOOLEANS = {"true": True, "false": False}


def response_routes(service: Service) -> Blueprint:
    """Return the blueprint of the Responses surface."""
    blueprint = Blueprint("responses", __name__)
    resource = ResponseResource(service)

    def caller() -> Caller:
        return Caller(service, service.principal_of(request.headers))

    async def received() -> ResponsesRequest:
        return await receive(service, read_responses_request)

    @blueprint.post("/v1/responses")
    async def create() -> Response:
        parsed = await received()
        turn = await start_response(caller(), parsed, lambda turn, _: begin(service, turn))
        return await answer(service, turn, stream=parsed.stream)

    @blueprint.post("/v1/responses/compact")
    async def compact() -> Response:
        prepared = await prepare(caller(), await received())
        turn = await begin(service, await summary_request(prepared))
        await turn.final.wait()
        return await _compacted(turn, prepared)

    @blueprint.post("/v1/responses/input_tokens")
    async def input_tokens() -> Response:
        tokens = await count_input(await prepare(caller(), await received()))
        return json_response({"object": "response.input_tokens", "input_tokens": tokens})

    @blueprint.get("/v1/responses/<response_id>")
    async def retrieve(response_id: str) -> Response:
        show = resource.stream if _wants_stream() else resource.show
        return await show(response_id)

    blueprint.get("/v1/responses/<response_id>/input_items")(resource.input_items)
    blueprint.delete("/v1/responses/<response_id>")(resource.delete)
    blueprint.post("/v1/responses/<response_id>/cancel")(resource.cancel)
    return blueprint


async def _compacted(turn: Turn, prepared: PreparedRequest) -> Response:
    journal, headers = turn.journal.events, turn_headers(turn)
    ended = journal[-1]
    if isinstance(ended, Ended) and ended.reason not in ANSWER_REASONS:
        return error_response(ending_error(ended), headers)

    make = partial(compacted, turn.id, turn.created_at, journal, prepared.items)
    threads = prepared.caller.service.readers
    return await offloaded_response(make, headers, long=prepared.large, threads=threads)


def _wants_stream() -> bool:
    given = request.args.get("stream", "false")
    if given not in _BOOLEANS:
        raise wrong("stream", "must be true or false.")
    return _BOOLEANS[given]


SURFACE = Surface(response_routes, DIALECT)
