"""Deletion of turns' content on request, the sweep of old journals, and the write probe.

Runs in the writer's thread. A deleted turn keeps its row, attempts and usage. A turn in flight is
only marked: later checkpoints and the final record then leave out all content
(`store.turns.writes`, `store.turns.finalise`).
"""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection, Dialect, String, bindparam, delete, insert, select, update
from sqlalchemy.engine.interfaces import DBAPICursor

from store.database.prepared_statements import PreparedStatement
from store.database.tables import messages, tenants, turn_segments, turns

_ERASED_OPTIONS = "{}"
"""Dialect options of a deleted turn; they may hold client content such as instructions."""

_PROBE_ROW = {"id": "tenant_probe", "name": "probe", "created_at": 0.0}


class Deletion(Struct, frozen=True):
    """A request to delete one turn. `at` is the time of the request, in epoch seconds."""

    tenant_id: str
    turn_id: str
    at: float


class Deletions:
    """Statements that delete the content of turns, each turn completely or not at all."""

    def __init__(self, dialect: Dialect) -> None:
        the_turn = bindparam("the_turn", type_=String)
        # Update the row first: on PostgreSQL its lock makes a final record of the turn wait.
        self._mark = PreparedStatement(
            update(turns)
            .where(
                turns.c.id == the_turn,
                turns.c.tenant_id == bindparam("the_tenant"),
                turns.c.deleted_at.is_(None),
            )
            .values({name: bindparam(name) for name in ("deleted_at", "dialect_options")}),
            dialect,
        )
        self._delete_content = [
            PreparedStatement(delete(table).where(table.c.turn_id == the_turn), dialect)
            for table in (messages, turn_segments)
        ]

    def delete(self, cursor: DBAPICursor, requests: Sequence[Deletion]) -> Sequence[bool]:
        """Delete each turn. Return for each whether it existed and was not deleted before."""
        return [self._delete(cursor, request) for request in requests]

    def _delete(self, cursor: DBAPICursor, request: Deletion) -> bool:
        the_turn = {"the_turn": request.turn_id}
        mark = {"deleted_at": request.at, "dialect_options": _ERASED_OPTIONS}
        if not self._mark.run(cursor, the_turn | mark | {"the_tenant": request.tenant_id}):
            return False
        for statement in self._delete_content:
            statement.run(cursor, the_turn)
        return True


def turns_to_sweep(connection: Connection, ended_before: float, limit: int) -> list[str]:
    """Return the ids of turns that ended before that time and still have a journal.

    Times are in epoch seconds.
    """
    query = (
        select(turn_segments.c.turn_id)
        .join(turns, turns.c.id == turn_segments.c.turn_id)
        .where(turn_segments.c.created_at < ended_before, turns.c.ended_at < ended_before)
        .distinct()
        .limit(limit)
    )
    return list(connection.scalars(query))


class Upkeep:
    """Maintenance statements: the sweep of old journals, and the write probe."""

    def __init__(self, dialect: Dialect) -> None:
        self._delete_segments = PreparedStatement(
            delete(turn_segments).where(turn_segments.c.turn_id == bindparam("the_turn")), dialect
        )
        self._insert_probe = PreparedStatement(insert(tenants), dialect)
        self._delete_probe = PreparedStatement(
            delete(tenants).where(tenants.c.id == bindparam("id")), dialect
        )

    def sweep(self, cursor: DBAPICursor, requests: Sequence[Sequence[str]]) -> Sequence[int]:
        """Delete the journals of the turns that each request names.

        Return for each request the number of deleted segments.
        """
        return [
            self._delete_segments.run_many(cursor, [{"the_turn": turn_id} for turn_id in request])
            for request in requests
        ]

    def probe(self, cursor: DBAPICursor, requests: Sequence[None]) -> Sequence[None]:
        """Insert a row and delete it again.

        An update that changes nothing would not write, and so would not test the disk.
        """
        self._insert_probe.run(cursor, _PROBE_ROW)
        self._delete_probe.run(cursor, _PROBE_ROW)
        return [None] * len(requests)
