"""Deletion of turns' content on request, and the sweep of old journals.

Runs in the writer's thread. A deleted turn keeps its row, attempts and usage. A turn in flight is
only marked: later checkpoints and the final record then leave out all content
(`store.turns.writes`, `store.turns.finalise`).
"""

from collections.abc import Sequence

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine.interfaces import DBAPICursor

from store.database.group_commit import Priority, Work
from store.database.prepared_statements import Prepare
from store.database.tables import item_ids, messages, turn_segments, turns

_ERASED_OPTIONS = "{}"
"""Dialect options of a deleted turn; they may hold client content such as instructions."""


class Deletion(Struct, frozen=True):
    """A request to delete one turn. `at` is the time of the request, in epoch seconds."""

    tenant_id: str
    turn_id: str
    at: float


class Deletions:
    """Writes that delete the content of turns, each turn completely or not at all."""

    def __init__(self, prepare: Prepare) -> None:
        self.delete = Work("turns.delete", Priority.DELETE, self._delete_all)
        self.sweep = Work("turns.sweep", Priority.MAINTAIN, self._sweep)
        the_turn = sa.bindparam("the_turn", type_=sa.String)
        # Update the row first: on PostgreSQL its lock makes a final record of the turn wait.
        self._mark = prepare(
            sa.update(turns)
            .where(
                turns.c.id == the_turn,
                turns.c.tenant_id == sa.bindparam("the_tenant"),
                turns.c.deleted_at.is_(None),
            )
            .values(
                {name: sa.bindparam(name) for name in ("deleted_at", "dialect_options", "verdicts")}
            )
        )
        self._delete_messages = prepare(sa.delete(messages).where(messages.c.turn_id == the_turn))
        self._delete_ids = prepare(sa.delete(item_ids).where(item_ids.c.turn_id == the_turn))
        self._delete_segments = prepare(
            sa.delete(turn_segments).where(turn_segments.c.turn_id == the_turn)
        )

    def _delete_all(self, cursor: DBAPICursor, requests: Sequence[Deletion]) -> Sequence[bool]:
        """Delete each turn. Return for each whether it existed and was not deleted before."""
        return [self._delete(cursor, request) for request in requests]

    def _delete(self, cursor: DBAPICursor, request: Deletion) -> bool:
        the_turn = {"the_turn": request.turn_id}
        # Verdicts may contain the text that a guard removed (`guards.keep_original`).
        mark = {
            "deleted_at": request.at,
            "dialect_options": _ERASED_OPTIONS,
            "verdicts": None,
        }
        if not self._mark.run(cursor, the_turn | mark | {"the_tenant": request.tenant_id}):
            return False
        self._delete_messages.run(cursor, the_turn)
        self._delete_ids.run(cursor, the_turn)
        self._delete_segments.run(cursor, the_turn)
        return True

    def _sweep(self, cursor: DBAPICursor, requests: Sequence[Sequence[str]]) -> Sequence[int]:
        """Delete the journals of the turns that each request names.

        Return for each request the number of deleted segments.
        """
        return [
            self._delete_segments.run_many(cursor, [{"the_turn": turn_id} for turn_id in request])
            for request in requests
        ]


def turns_to_sweep(connection: sa.Connection, ended_before: float, limit: int) -> list[str]:
    """Return the ids of turns that ended before that time and still have a journal.

    Times are in epoch seconds.
    """
    query = (
        sa.select(turn_segments.c.turn_id)
        .join(turns, turns.c.id == turn_segments.c.turn_id)
        .where(turn_segments.c.created_at < ended_before, turns.c.ended_at < ended_before)
        .distinct()
        .limit(limit)
    )
    return list(connection.scalars(query))
