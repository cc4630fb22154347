"""Deleting a response, whether its turn plays, is over, or is not in the database yet."""

import trio

from actors.outcome import Reason
from actors.turn import Turn
from web.dialects.responses_items import response_id
from web.errors import ApiError, store_unavailable, unavailable
from web.service import TENANT, Service

WITHIN_S = 10.0
"""What a deletion may take, also after its client has left."""


async def forget(service: Service, turn_id: str, live: Turn | None) -> None:
    """Forget all that was said in a turn, and stop it, if it plays.

    A client that leaves meanwhile changes nothing. Raises `ApiError` (503) where the database
    does not answer in time, or where the end of the turn still waits to be written there.
    """
    with trio.move_on_after(WITHIN_S, shield=True):
        return await _forget(service, turn_id, live)
    if live is not None:
        # The database may carry it out yet, and there is nothing to be played then.
        live.stop(Reason.CANCEL_REQUESTED)
    raise store_unavailable()


def not_in_database(what: str) -> ApiError:
    """A 503: the end of a turn is kept elsewhere, and the database has to take it first."""
    text = f"{what} is not in the database yet. Try again later."
    return unavailable(text, code="store_unavailable", retry_after_s=2.0)


async def stop(turn: Turn) -> None:
    """End a turn, and wait for its end."""
    turn.stop(Reason.CANCEL_REQUESTED)
    await turn.final.wait()


async def _forget(service: Service, turn_id: str, live: Turn | None) -> None:
    now = service.now()
    deleted = await service.store.delete_response(TENANT, turn_id, now)
    if live is None:
        return
    if deleted:
        live.mark_deleted(now)
    await stop(live)
    if live.deleted_at is None:
        await _forget_late(service, live, now)


async def _forget_late(service: Service, turn: Turn, now: float) -> None:
    """Of a turn that was not in the database: its end has brought it there, or will."""
    if turn.stored != "committed":
        raise not_in_database(f"Response {response_id(turn.id)!r}")
    await service.store.delete_response(TENANT, turn.id, now)
    turn.mark_deleted(now)
