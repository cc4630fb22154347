"""Serves `POST /v1/embeddings`, which is passed on to a route and recorded as a turn."""

from functools import partial

import trio
from msgspec.structs import replace
from quart import Blueprint, Response, request

from actors.providers.embedding_provider import DIALECT, EmbeddingJob, EmbeddingProvider
from actors.providers.formats.embeddings import Embeddings
from actors.runtime.offload import Cost, is_much, off_loop
from actors.turn.events import Ended
from actors.turn.outcome import Reason, Usage
from actors.turn.request import PlannedRoute, TurnRequest
from actors.turn.state import Turn
from web.dialects.turn_errors import ending_error
from web.http.api_error import ApiError, invalid
from web.http.responses import error_response, json_response
from web.service import Service, Surface
from web.surfaces.embeddings.request import EmbeddingRequest, read_embedding_request
from web.surfaces.requests import receive
from web.turns.start import begin, turn_headers

_MODELS_SHOWN = 20


def embedding_routes(service: Service) -> Blueprint:
    """Return the blueprint of the embeddings surface."""
    blueprint = Blueprint("embeddings", __name__)

    @blueprint.post("/v1/embeddings")
    async def embeddings() -> Response:
        parsed = await receive(service, read_embedding_request)
        job = EmbeddingJob(parsed.call)
        turn = await _begin(service, parsed, job)
        await turn.final.wait()
        return await _answer(turn, job, service.threads)

    return blueprint


async def _begin(service: Service, parsed: EmbeddingRequest, job: EmbeddingJob) -> Turn:
    """Start the turn; raises `ApiError` for an unknown model or one without embeddings."""
    plan = service.planner.find(parsed.model)
    routes = tuple(_planned(service, planned, job) for planned in plan.routes)
    if all(planned.unfit for planned in routes):
        raise _no_embeddings(parsed.model, plan.routes)
    turn_request = TurnRequest(
        model=parsed.model,
        routes=routes,
        call=parsed.call.as_call(),
        dialect=DIALECT,
        dialect_options={},
        total_s=plan.total_s,
        principal=service.principal_of(request.headers),
        keep_text=False,
        price=plan.price,
    )
    return await begin(service, turn_request)


def _planned(service: Service, planned: PlannedRoute, job: EmbeddingJob) -> PlannedRoute:
    embedder = service.embedders.get(planned.route.provider)
    if embedder is None:
        return replace(planned, unfit="no_embeddings")
    return replace(planned, provider=EmbeddingProvider(embedder, job))


async def _answer(turn: Turn, job: EmbeddingJob, threads: trio.CapacityLimiter) -> Response:
    ended = turn.journal.events[-1]
    headers = turn_headers(turn)
    if not isinstance(ended, Ended):
        raise TypeError("the journal of a final turn must end with Ended")
    if ended.reason is not Reason.STOP or job.result is None:
        return error_response(ending_error(ended), headers)
    model = ended.upstream_model or turn.request.model
    body = embedding_list(job.result, model, ended.usage)
    large = is_much(sum(memoryview(v).nbytes for v in job.result.vectors), Cost.VECTOR)
    return await off_loop(large, threads, partial(json_response, body, headers=headers))


def embedding_list(result: Embeddings, model: str, usage: Usage | None) -> dict[str, object]:
    """Return the embeddings in the form of OpenAI's API."""
    tokens = usage.input_tokens if usage else 0
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(result.vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _no_embeddings(model: str, routes: tuple[PlannedRoute, ...]) -> ApiError:
    shown = ", ".join(str(planned.route) for planned in routes[:_MODELS_SHOWN])
    text = f"The model {model!r} has no route that makes embeddings. Its routes are {shown}."
    return invalid(text, param="model", code="no_embeddings")


SURFACE = Surface(embedding_routes)
