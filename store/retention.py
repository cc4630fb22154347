"""Deletion of old journals, and the probe that checks that the store can write."""

from collections.abc import Sequence

from sqlalchemy import Connection, Dialect, bindparam, delete, insert, select
from sqlalchemy.engine.interfaces import DBAPICursor

from store.statements import Prepared
from store.tables import tenants, turn_segments, turns

_PROBE_ROW = {"id": "tenant_probe", "name": "probe", "created_at": 0.0}


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
        self._delete_segments = Prepared(
            delete(turn_segments).where(turn_segments.c.turn_id == bindparam("the_turn")), dialect
        )
        self._insert_probe = Prepared(insert(tenants), dialect)
        self._delete_probe = Prepared(
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
