"""Deletes a response, whose turn may be running, ended, or not yet in the database."""

import trio

from actors.turn.outcome import Reason
from actors.turn.state import Turn
from store.records.turn_records import Principal
from web.dialects.openai_responses.items import response_id
from web.http.api_error import store_unavailable
from web.service import Service

DELETE_TIMEOUT_S = 10.0
"""Time limit of a deletion in seconds, which also holds after its client has disconnected."""


async def delete_content(
    service: Service, principal: Principal, turn_id: str, live: Turn | None
) -> None:
    """Delete the content of a turn, and stop the turn if it is running.

    Raises `ApiError` (503) if the database does not answer in time, or if the final record of the
    turn is not in the database yet.
    """
    # Shielded: a started deletion must not depend on the client staying connected.
    with trio.move_on_after(DELETE_TIMEOUT_S, shield=True):
        return await _delete(service, principal, turn_id, live)
    if live is not None:
        # The database may still complete the deletion, after which the turn must not run.
        live.stop(Reason.CANCEL_REQUESTED)
    raise store_unavailable()


async def stop(turn: Turn) -> None:
    """Cancel a turn and wait for its final record."""
    turn.stop(Reason.CANCEL_REQUESTED)
    await turn.final.wait()


async def _delete(service: Service, principal: Principal, turn_id: str, live: Turn | None) -> None:
    now = service.now()
    deleted = await service.store.turns.delete_response(principal, turn_id, now)
    if live is None:
        return
    if deleted:
        live.mark_deleted(now)
    await stop(live)
    if live.deleted_at is None:
        await _delete_late(service, live, now)


async def _delete_late(service: Service, turn: Turn, now: float) -> None:
    """Delete a turn that the database did not have before its final record was written."""
    if turn.stored != "committed":
        raise store_unavailable(f"Response {response_id(turn.id)!r} is not in the database yet.")
    await service.store.turns.delete_response(turn.request.principal, turn.id, now)
    turn.mark_deleted(now)
