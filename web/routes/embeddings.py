"""`POST /v1/embeddings`: passed on to a route of the model, and accounted as a turn."""

from functools import partial

import trio
from quart import Blueprint, Response

from actors.embedding import DIALECT, EmbeddingJob
from actors.events import Ended
from actors.heavy import off_loop
from actors.outcome import Reason, Usage
from actors.providers.embeddings import Embeddings
from actors.turn import PlannedRoute, Turn, TurnRequest
from web.embedding_request import EmbeddingRequest, receive_embedding_request
from web.errors import ApiError, ending_error, invalid
from web.json_body import READERS
from web.json_responses import error_response, json_response
from web.planning import Plan
from web.playing import begin, turn_headers
from web.request_parts import body_given
from web.service import TENANT, Service

_MODELS_SHOWN = 20
_LARGE = 65_536
"""Bytes of vectors beyond which a thread writes the answer."""


def embedding_routes(service: Service) -> Blueprint:
    """The blueprint of embeddings."""
    blueprint = Blueprint("embeddings", __name__)
    readers = trio.CapacityLimiter(READERS)

    @blueprint.post("/v1/embeddings")
    async def embeddings() -> Response:
        asked = await receive_embedding_request(await body_given(), readers)
        job = EmbeddingJob(asked.ask)
        turn = await _begin(service, asked, job)
        await turn.final.wait()
        return await _answer(turn, job, readers)

    return blueprint


async def _begin(service: Service, asked: EmbeddingRequest, job: EmbeddingJob) -> Turn:
    """Start the turn; raises `ApiError` for a model that does not embed, or is not there."""
    plan = service.planner.find(asked.model)
    can = tuple(p for p in plan.routes if p.route.provider in service.embedders)
    if not can:
        raise _no_embeddings(asked.model, plan.routes)
    providers = job.providers(service.embedders)
    turn = await begin(service, _turn_request(asked, plan, can), providers)
    for planned in plan.routes:
        if planned not in can:
            turn.ledger.skip(planned.route, "no_embeddings", service.now())
    return turn


def _turn_request(
    asked: EmbeddingRequest, plan: Plan, routes: tuple[PlannedRoute, ...]
) -> TurnRequest:
    return TurnRequest(
        model=asked.model,
        routes=routes,
        call=asked.ask.as_call(),
        dialect=DIALECT,
        dialect_options={},
        total_s=plan.total_s,
        tenant_id=TENANT,
        keep_text=False,
        price=plan.price,
    )


async def _answer(turn: Turn, job: EmbeddingJob, threads: trio.CapacityLimiter) -> Response:
    ended = turn.journal.events[-1]
    headers = turn_headers(turn)
    if not isinstance(ended, Ended):
        raise TypeError("a turn that is final has an end")
    if ended.reason is not Reason.STOP or job.result is None:
        return error_response(ending_error(ended), headers)
    model = ended.upstream_model or turn.request.model
    body = embedding_list(job.result, model, ended.usage)
    large = sum(memoryview(vector).nbytes for vector in job.result.vectors) > _LARGE
    return await off_loop(large, threads, partial(json_response, body, headers=headers))


def embedding_list(result: Embeddings, model: str, usage: Usage | None) -> dict[str, object]:
    """The answer as OpenAI spells it."""
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
    text = f"The model {model!r} has no route that makes embeddings; its routes are {shown}."
    return invalid(text, param="model", code="no_embeddings")
