"""The repository of turns: every query and write of turns that other packages use.

Implements `actors.ports.TurnStore`.
"""

from collections.abc import Callable, Sequence
from functools import partial

from store.database.database import Database, Repository, query
from store.ownership.ownership import Ownership
from store.records.turn_records import (
    ConversationBusy,
    Finalised,
    FinalRecord,
    NewTurn,
    Principal,
    Segment,
    TurnView,
)
from store.turns import history, reads
from store.turns.deletion import Deletion, Deletions, turns_to_sweep
from store.turns.finalise import FinalWrites
from store.turns.writes import TurnWrites

_SWEEP_TURNS = 100


class TurnRepository(Repository):
    """The turns with their journals, items and usage.

    Every method raises `StoreUnavailable` if the database is full, locked or gone. Every method
    may be cancelled; a write that is already queued is still executed.
    """

    def __init__(
        self, database: Database, ownership: Ownership, clock: Callable[[], float]
    ) -> None:
        super().__init__(database)
        self._ownership = ownership
        self._clock = clock
        self._writer = database.writer
        self._writes = TurnWrites(database.prepare, database.backend, clock)
        self._finals = FinalWrites(database.prepare, database.backend)
        self._deletions = Deletions(database.prepare)

    get_turn = query(reads.get_turn)
    list_turns = query(reads.list_turns)
    response = query(reads.response)
    segments = query(reads.segments)
    chain = query(history.chain)
    latest_turn_in = query(history.latest_turn_in)
    conversation_live = query(history.conversation_live)
    turn_items = query(history.turn_items)
    item_places = query(history.item_places)

    async def begin(self, turn: NewTurn) -> None:
        """Insert the turn as `in_progress`.

        Raises `ConversationBusy` if another turn of its conversation is in flight, in any process,
        or if a turn newer than its `previous_id` has ended in the conversation.
        """
        if not await self._writer.submit(self._writes.begin, turn):
            raise ConversationBusy(turn.conversation)

    async def checkpoint(self, segments: Sequence[Segment]) -> frozenset[str]:
        """Append segments, each only while its owner owns the turn and the turn is not final.

        Returns the ids of the turns that were fenced off. A segment that is already stored is
        left as it is, or replaced by a longer one.
        """
        return await self._writer.submit(self._writes.checkpoint, segments)

    async def finalise(self, record: FinalRecord) -> Finalised:
        """Write the terminal record in one transaction, if the turn is not terminal yet.

        The turn must still be owned by `record.turn.owner`, which may be a dead process. A turn
        that was never inserted is inserted now.
        """
        return await self._writer.submit(self._finals.finalise, record)

    async def delete_response(self, principal: Principal, turn_id: str, now: float) -> bool:
        """Delete the content of a turn of any kind; its row, attempts and usage are kept.

        A turn in flight stores no content from now on. Returns False if the tenant has no such
        turn or it is already deleted. A turn that was never inserted does not exist until its
        final record is written, possibly from the spool, and has to be deleted after that.
        """
        deletion = Deletion(principal.tenant_id, turn_id, now)
        return await self._writer.submit(self._deletions.delete, deletion)

    async def orphans(self) -> Sequence[TurnView]:
        """Return the turns in flight whose owner is dead; their spools may still end them."""
        return await self.database.read(partial(reads.orphans, is_alive=self._ownership.is_alive))

    async def sweep(self, journal_retention_s: float) -> int:
        """Delete the journals of turns that ended more than `journal_retention_s` ago.

        Uses small transactions of whole turns, so that other writes need not wait long. Returns
        the number of deleted segments.
        """
        ended_before = self._clock() - journal_retention_s
        find = partial(turns_to_sweep, ended_before=ended_before, limit=_SWEEP_TURNS)
        swept = 0
        while found := await self.database.read(find):
            swept += await self._writer.submit(self._deletions.sweep, found)
        return swept
