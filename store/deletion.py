"""Deletion of a turn's content: its row, attempts and usage are kept.

Runs in the writer's thread. A turn in flight is only marked: later checkpoints and the final
record then leave out all content (`store.turns`, `store.finals`).
"""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Dialect, String, bindparam, delete, update
from sqlalchemy.engine.interfaces import DBAPICursor

from store.statements import Prepared
from store.tables import messages, turn_segments, turns

_ERASED_OPTIONS = "{}"
"""Dialect options of a deleted turn; they may hold client content such as instructions."""


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
        self._delete_content = [
            Prepared(delete(table).where(table.c.turn_id == the_turn), dialect)
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
