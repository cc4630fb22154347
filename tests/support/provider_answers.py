"""Helpers that call a provider as a turn does and collect its answer."""

import math

import trio

from actors.ports import Provider
from actors.turn.chunks import Chunk, FinishChunk
from actors.turn.model_call import ModelCall, UpstreamFailure

AFTER_FINISH_S = 1.0
"""Seconds to wait for more after a finish reason."""


async def receive_all(
    provider: Provider, call: ModelCall
) -> tuple[list[Chunk], UpstreamFailure | None]:
    """Return the chunks of an answer and the failure that ended it, if any.

    After a finish reason, an answer that stays open is complete.
    """
    chunks: list[Chunk] = []
    limit_s = math.inf
    try:
        answer = await provider.open(call, connect_s=5)
        try:
            with trio.CancelScope() as scope:
                while batch := await answer.receive():
                    chunks += batch
                    if any(isinstance(chunk, FinishChunk) for chunk in chunks):
                        limit_s = AFTER_FINISH_S
                    scope.deadline = trio.current_time() + limit_s
        finally:
            answer.close()
    except UpstreamFailure as failure:
        return chunks, failure
    return chunks, None


def facts_of(failure: UpstreamFailure | None) -> tuple[object, ...] | None:
    """Return the fields of a failure, without its message."""
    if failure is None:
        return None
    status = (failure.kind, failure.status, failure.retry_after_s)
    return (*status, failure.code, failure.type, failure.param)
