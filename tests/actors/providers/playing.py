"""Asking a provider, as a turn would, for all that it says."""

from actors.chunks import Chunk
from actors.providers.base import ModelCall, Provider, UpstreamFailure


async def played(provider: Provider, call: ModelCall) -> tuple[list[Chunk], UpstreamFailure | None]:
    """The chunks of an answer, and the failure behind them if there is one."""
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
    """What is told of a failure besides its words."""
    if failure is None:
        return None
    status = (failure.kind, failure.status, failure.retry_after_s)
    return (*status, failure.code, failure.type, failure.param)
