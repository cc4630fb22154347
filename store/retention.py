"""Forgetting journals, and asking whether the store still writes."""

from collections.abc import Sequence

from sqlalchemy import Connection, Dialect, bindparam, delete, insert, select
from sqlalchemy.engine.interfaces import DBAPICursor

from store.statements import Prepared
from store.tables import tenants, turn_segments, turns

_VISITOR = {"id": "tenant_probe", "name": "probe", "created_at": 0.0}


def turns_to_sweep(connection: Connection, ended_before: float, limit: int) -> list[str]:
    """Find turns that ended before then and whose journal is still kept."""
    query = (
        select(turn_segments.c.turn_id)
        .join(turns, turns.c.id == turn_segments.c.turn_id)
        .where(turn_segments.c.created_at < ended_before, turns.c.ended_at < ended_before)
        .distinct()
        .limit(limit)
    )
    return list(connection.scalars(query))


class Upkeep:
    """Writes that belong to no turn's course."""

    def __init__(self, dialect: Dialect) -> None:
        self._forget = Prepared(
            delete(turn_segments).where(turn_segments.c.turn_id == bindparam("the_turn")), dialect
        )
        self._come = Prepared(insert(tenants), dialect)
        self._go = Prepared(delete(tenants).where(tenants.c.id == bindparam("id")), dialect)

    def sweep(self, cursor: DBAPICursor, requests: Sequence[Sequence[str]]) -> Sequence[int]:
        """Delete the journals of the turns that each request names; answers their segments."""
        return [
            self._forget.run_many(cursor, [{"the_turn": turn_id} for turn_id in request])
            for request in requests
        ]

    def probe(self, cursor: DBAPICursor, requests: Sequence[None]) -> Sequence[None]:
        """Write a row and delete it: an update that changes nothing would write nothing."""
        self._come.run(cursor, _VISITOR)
        self._go.run(cursor, _VISITOR)
        return [None] * len(requests)
