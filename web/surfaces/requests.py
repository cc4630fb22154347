"""Receives requests to models and answers them."""

from collections.abc import Callable
from typing import TypeVar

from quart import Response
from quart import request as http_request

from web.http.body import release_body, request_body
from web.http.json_body import read_json
from web.service import Service
from web.surfaces.validation import Object
from web.turns.input_check import check_input
from web.turns.planner import ModelRequest
from web.turns.start import answer, begin

T = TypeVar("T")


async def receive(service: Service, read: Callable[[Object], T]) -> T:
    """Return `read` applied to the body's object, in a thread if it is large.

    Raises `ApiError`: 400 if it is invalid, 408, 413 or 503 if it is too slow, too long or refused.
    """
    try:
        return await read_json(await request_body(), read, service.readers)
    finally:
        release_body()


async def respond(service: Service, request: ModelRequest, dialect: str) -> Response:
    """Return the answer to a request; raises `ApiError`, such as 404 for an unknown model."""
    principal = service.principal_of(http_request.headers)
    turn_request = service.planner.find(request.model).turn(request, dialect, principal)
    turn_request = await check_input(service, turn_request)
    return await answer(service, await begin(service, turn_request), stream=request.stream)
