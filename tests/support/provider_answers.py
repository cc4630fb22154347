"""Helpers that call a provider as a turn does and collect its answer."""

from actors.ports import Provider
from actors.turn.chunks import Chunk
from actors.turn.model_call import ModelCall, UpstreamFailure


async def receive_all(
    provider: Provider, call: ModelCall
) -> tuple[list[Chunk], UpstreamFailure | None]:
    """Return the chunks of an answer and the failure that ended it, if any."""
    chunks: list[Chunk] = []
    try:
        answer = await provider.open(call, connect_s=5)
        try:
            while batch := await answer.receive():
                chunks += batch
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
