"""Deleting a turn: what was said goes, its row, attempts and usage stay.

Runs in the writer's thread. A turn in flight is marked too: checkpoints and the final record then
leave out what is said, whenever they come (`store.turns`, `store.finals`).
"""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Dialect, String, bindparam, delete, update
from sqlalchemy.engine.interfaces import DBAPICursor

from store.statements import Prepared
from store.tables import messages, turn_segments, turns

_FORGOTTEN_OPTIONS = "{}"
"""What a surface noted of the request, such as its instructions, was said by the client."""


class Deletion(Struct, frozen=True):
    """Which turn is to be deleted, and when that was asked for."""

    tenant_id: str
    turn_id: str
    at: float


class Deletions:
    """Deletes turns, each whole or not at all."""

    def __init__(self, dialect: Dialect) -> None:
        the_turn = bindparam("the_turn", type_=String)
        # The row first: on PostgreSQL that is what a final record of the same turn waits for.
        self._mark = Prepared(
            update(turns)
            .where(
                turns.c.id == the_turn,
                turns.c.tenant_id == bindparam("the_tenant"),
                turns.c.deleted_at.is_(None),
            )
            .values({name: bindparam(name) for name in ("deleted_at", "dialect_options")}),
            dialect,
        )
        self._said = [
            Prepared(delete(table).where(table.c.turn_id == the_turn), dialect)
            for table in (messages, turn_segments)
        ]

    def delete(self, cursor: DBAPICursor, requests: Sequence[Deletion]) -> Sequence[bool]:
        """Delete each turn; answers whether it was there and not deleted yet."""
        return [self._delete(cursor, request) for request in requests]

    def _delete(self, cursor: DBAPICursor, request: Deletion) -> bool:
        the_turn = {"the_turn": request.turn_id}
        mark = {"deleted_at": request.at, "dialect_options": _FORGOTTEN_OPTIONS}
        if not self._mark.run(cursor, the_turn | mark | {"the_tenant": request.tenant_id}):
            return False
        for statement in self._said:
            statement.run(cursor, the_turn)
        return True
