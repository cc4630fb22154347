"""Serves `POST /v1/echo`: a model's answer to one text."""

from quart import Blueprint, Response

from tests.support.newcomer.echo.dialect import DIALECT
from tests.support.newcomer.echo.request import read_echo_request
from web.service import Service, Surface
from web.surfaces.requests import receive, respond


def echo_routes(service: Service) -> Blueprint:
    """Return the blueprint of the echo surface."""
    blueprint = Blueprint("echo", __name__)

    @blueprint.post("/v1/echo")
    async def echo() -> Response:
        return await respond(service, await receive(service, read_echo_request), DIALECT.name)

    return blueprint


SURFACE = Surface(echo_routes, DIALECT)
