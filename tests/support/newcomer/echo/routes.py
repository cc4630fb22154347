"""Serves `POST /v1/echo`: a model's answer to one text."""

from functools import partial

import trio
from quart import Blueprint, Response, request

from tests.support.newcomer.echo.dialect import DIALECT, NAME
from tests.support.newcomer.echo.request import EchoRequest
from web.http.body import request_body
from web.http.json_body import READERS, read_json
from web.http.validation_errors import validated
from web.service import Service, Surface
from web.turns.start import answer, begin


def echo_routes(service: Service) -> Blueprint:
    """Return the blueprint of the echo surface."""
    blueprint = Blueprint("echo", __name__)
    readers = trio.CapacityLimiter(READERS)

    @blueprint.post("/v1/echo")
    async def echo() -> Response:
        body = await request_body()
        asked = await read_json(body, partial(validated, EchoRequest), readers)
        turn_request = service.planner.find(asked.model).turn(
            asked.call,
            model=asked.model,
            dialect=NAME,
            dialect_options={},
            principal=service.principal_of(request.headers),
            stream=asked.stream,
            strict=False,
        )
        return await answer(service, await begin(service, turn_request), stream=asked.stream)

    return blueprint


SURFACE = Surface(echo_routes, DIALECT)
