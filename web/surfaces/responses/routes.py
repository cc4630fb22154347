"""Serves `/v1/responses`, OpenAI's Responses: creation, compaction and the response resource."""

from functools import partial

from quart import Blueprint, Response, request

from actors.runtime.json_pieces import encoded
from actors.runtime.offload import off_loop
from actors.turn.events import Ended
from actors.turn.state import Turn
from web.dialects.openai_responses.response import ANSWER_REASONS
from web.dialects.openai_responses.stream import DIALECT
from web.dialects.turn_errors import ending_error
from web.http.body import limit_parameter
from web.http.responses import encoded_response, error_response, json_response
from web.service import Service, Surface
from web.surfaces.requests import receive
from web.surfaces.responses.compact import compacted
from web.surfaces.responses.create import count_input, start_response, summary_request
from web.surfaces.responses.history.history import Caller
from web.surfaces.responses.history.model_context import PreparedRequest, prepare
from web.surfaces.responses.input_items import DEFAULT_LIMIT, MAX_LIMIT, Page
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
        turn = await start_response(caller(), parsed, partial(begin, service))
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

    @blueprint.get("/v1/responses/<id>")
    async def retrieve(id: str) -> Response:
        return await (resource.stream(id) if _wants_stream() else resource.show(id))

    @blueprint.get("/v1/responses/<id>/input_items")
    async def input_items(id: str) -> Response:
        return await resource.input_items(id, _page())

    blueprint.delete("/v1/responses/<id>")(resource.delete)
    blueprint.post("/v1/responses/<id>/cancel")(resource.cancel)
    return blueprint


async def _compacted(turn: Turn, prepared: PreparedRequest) -> Response:
    journal, headers = turn.journal.events, turn_headers(turn)
    ended = journal[-1]
    if isinstance(ended, Ended) and ended.reason not in ANSWER_REASONS:
        return error_response(ending_error(ended), headers)

    def encode() -> bytes:
        return encoded(compacted(turn.id, turn.created_at, journal, prepared.items))

    body = await off_loop(prepared.large, prepared.caller.service.readers, encode)
    return encoded_response(body, headers=headers)


def _wants_stream() -> bool:
    given = request.args.get("stream", "false")
    if given not in _BOOLEANS:
        raise wrong("stream", "must be true or false.")
    return _BOOLEANS[given]


def _page() -> Page:
    order = request.args.get("order", "desc")
    if order not in ("asc", "desc"):
        raise wrong("order", "must be asc or desc.")
    return Page(
        limit=limit_parameter(DEFAULT_LIMIT, MAX_LIMIT),
        order="asc" if order == "asc" else "desc",
        after=request.args.get("after"),
        before=request.args.get("before"),
    )


SURFACE = Surface(response_routes, DIALECT)
