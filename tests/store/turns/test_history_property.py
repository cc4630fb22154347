"""Property test: turns, chains, conversations and deletions in any order, checked by a model.

The statements are called one after the other, without threads: the test is about how they affect
each other.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count, product
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    multiple,
    rule,
    run_state_machine_as_test,
)
from msgspec import json, msgpack
from msgspec.structs import replace
from sqlalchemy import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPICursor

from actors.finalisation.recovery import final_record
from actors.journal.checkpointer import encode_events
from actors.turn.events import AnyEvent, Started, Text
from actors.turn.outcome import Price
from store.database.engine import backend_for, open_engine
from store.database.prepared_statements import PreparedStatement
from store.database.settings import StoreSettings
from store.database.transactions import Transactions
from store.records.turn_records import ChainLink, FinalRecord, NewTurn, StoredResponse
from store.turns import history, reads
from store.turns.deletion import Deletion, Deletions
from store.turns.finalise import FinalWrites
from store.turns.writes import TurnWrites
from tests.support.sizes import examples
from tests.support.store_records import MAX_BYTES, a_response, a_segment, an_end, caller

T = TypeVar("T")

TENANTS = ("tenant_default", "tenant_b")
CONVERSATIONS = ("a", "b")
OWNER = "own_mine"
LIMIT = 3
STATUSES = st.sampled_from(("completed", "failed", "incomplete", "cancelled"))


@dataclass
class Known:
    """The model's state of a turn."""

    turn: NewTurn
    ended: bool = False
    answered: bool = False
    status: str = "in_progress"
    text: str = ""
    items: str | None = None
    deleted_at: float | None = None
    charged: bool = False
    segments: dict[int, bytes] = field(default_factory=dict)

    @property
    def keeps(self) -> bool:
        """True if content that arrives now will be stored."""
        return self.turn.keep_text and self.deleted_at is None

    @property
    def shown(self) -> bool:
        """True if the turn has readable items."""
        return self.keeps and self.turn.input_items is not None

    def end(self, record: FinalRecord) -> None:
        """Apply the record if it is the first."""
        if self.ended:
            return
        self.ended, self.status, self.charged = True, record.status, record.usage is not None
        delivered = record.items is not None and record.heard
        self.answered = record.status == "completed" or delivered
        if self.keeps:
            self.text, self.items = record.text, record.items
            if record.segment is not None:
                self.segments[record.segment.first_seq] = record.segment.blob

    def delete(self, now: float) -> bool:
        """Delete the content; return False if it was deleted before."""
        if self.deleted_at is not None:
            return False
        self.deleted_at, self.text, self.items = now, "", None
        self.segments.clear()
        return True


class Machine(RuleBasedStateMachine):
    """A state machine that runs each operation on both the store's statements and the model."""

    turns = Bundle("turns")
    spooled = Bundle("spooled")

    def __init__(self, engine: Engine, store_settings: StoreSettings) -> None:
        super().__init__()
        backend = backend_for(store_settings)
        self._engine = engine
        self._transactions = Transactions(engine, backend, 1.0)
        prepare = partial(PreparedStatement, dialect=engine.dialect)
        self._turns = TurnWrites(prepare, backend, lambda: 1000.0)
        self._finals = FinalWrites(prepare, backend)
        self._deletions = Deletions(prepare)
        self._numbers = count(1)
        self._known: dict[str, Known] = {}

    def teardown(self) -> None:
        try:
            self.look()
        finally:
            self._transactions.close()
            self._engine.dispose()

    @rule(
        target=turns,
        before=st.none() | turns | st.just("turn_unknown"),
        tenant=st.sampled_from(TENANTS),
        conversation=st.none() | st.sampled_from(CONVERSATIONS),
        keep_text=st.sampled_from((True, True, True, False)),
        has_items=st.sampled_from((True, True, True, False)),
        begun=st.sampled_from((True, True, True, False)),
    )
    def begin(
        self,
        before: str | None,
        tenant: str,
        conversation: str | None,
        keep_text: bool,
        has_items: bool,
        begun: bool,
    ) -> str | MultipleResults[str]:
        """Begin a turn unless its conversation is busy.

        With `begun` false the insert never arrives, and the turn ends at once.
        """
        number = next(self._numbers)
        items = f"[{number}]" if has_items else None
        turn = replace(
            a_response(
                OWNER,
                before,
                conversation=conversation,
                items=items,
                tenant=tenant,
                keep_text=keep_text,
            ),
            id=f"turn_{number:04d}",
        )
        latest, live = self._conversation_state(tenant, conversation)
        busy = live or (before is not None and latest is not None and latest > before)
        if begun:
            assert self._write(lambda cursor: self._turns.begin.run(cursor, [turn])) == [not busy]
            if busy:
                return multiple()
        self._known[turn.id] = Known(turn)
        if not begun:
            self._finalise(self._an_end(turn.id, "completed"))
        return turn.id

    @rule(id=turns, first=st.integers(0, 3))
    def checkpoint(self, id: str, first: int) -> None:
        known = self._known[id]
        events: list[AnyEvent] = [Text(f"{id} {first}")]
        if first == 0:
            events = [a_start(id)]
        segment = a_segment(known.turn, first, first, encode_events(events))
        fenced = self._write(lambda cursor: self._turns.checkpoint.run(cursor, [[segment]]))
        assert fenced == [frozenset({id} if known.ended else set())]
        if known.keeps and not known.ended:
            known.segments[first] = segment.blob

    @rule(id=turns, status=STATUSES, has_text=st.booleans(), heard=st.booleans())
    def end(self, id: str, status: str, has_text: bool, heard: bool) -> None:
        self._finalise(self._an_end(id, status, has_text=has_text, heard=heard))

    @rule(target=spooled, id=turns, status=STATUSES, has_text=st.booleans(), heard=st.booleans())
    def spool(self, id: str, status: str, has_text: bool, heard: bool) -> bytes:
        return msgpack.encode(self._an_end(id, status, has_text=has_text, heard=heard))

    @rule(record=consumes(spooled))
    def replay(self, record: bytes) -> None:
        self._finalise(msgpack.decode(record, type=FinalRecord))

    @rule()
    def recover(self) -> None:
        """Recover all turns in flight, as if their owner were dead."""
        with self._engine.connect() as connection:
            orphans = reads.turns_in_flight(connection, OWNER)
            journals = [reads.segments(connection, turn.id) for turn in orphans]
        in_flight = [id for id, known in self._known.items() if not known.ended]
        assert [turn.id for turn in orphans] == in_flight
        for turn, journal in zip(orphans, journals, strict=True):
            assert turn.keeps_items == self._known[turn.id].shown
            self._finalise(final_record(turn, journal, 3000.0, Price()))

    @rule(id=turns, mine=st.sampled_from((True, True, True, False)), now=st.integers(2000, 2999))
    def delete(self, id: str, mine: bool, now: int) -> None:
        known = self._known[id]
        deletion = Deletion(known.turn.tenant_id if mine else "tenant_c", id, float(now))
        (deleted,) = self._write(lambda cursor: self._deletions.delete.run(cursor, [deletion]))
        assert deleted == (mine and known.delete(float(now)))

    @rule(id=turns)
    def sweep(self, id: str) -> None:
        """Sweep the journal of an ended turn."""
        known = self._known[id]
        if known.ended:
            self._write(lambda cursor: self._deletions.sweep.run(cursor, [[id]]))
            known.segments.clear()

    @rule()
    def look(self) -> None:
        """Compare everything that can be read with the model."""
        with self._engine.connect() as connection:
            for id, known in self._known.items():
                self._compare_turn(connection, id, known)
                found = history.chain(
                    connection, caller(known.turn.tenant_id), id, LIMIT, MAX_BYTES
                )
                assert found == list(self._chain(known.turn.tenant_id, id))[::-1]
            for tenant, name in product(TENANTS, CONVERSATIONS):
                self._compare_conversation(connection, tenant, name)

    def _compare_turn(self, connection: Connection, id: str, known: Known) -> None:
        tenant = caller(known.turn.tenant_id)
        seen = reads.get_turn(connection, tenant, id)
        assert seen is not None
        assert (seen.status, seen.text) == (known.status, known.text)
        assert (seen.deleted_at, seen.keeps_items) == (known.deleted_at, known.shown)
        assert (seen.usage is not None) == known.charged
        kept = {segment.first_seq: segment.blob for segment in reads.segments(connection, id)}
        assert kept == known.segments
        self._compare_response(known, reads.response(connection, tenant, id))

    def _compare_response(self, known: Known, found: StoredResponse | None) -> None:
        assert (found is not None) == known.shown
        if found is not None:
            assert found.input_items == known.turn.input_items
            assert found.answer_items == (known.items or "[]")

    def _chain(self, tenant: str, first: str) -> Iterator[ChainLink]:
        id: str | None = first
        for _ in range(LIMIT):
            if id is None:
                return
            known = self._known.get(id)
            if known is None or known.turn.tenant_id != tenant:
                yield ChainLink(turn_id=id, lost="missing")
                return
            yield _link(known, last=id == first)
            id = known.turn.previous_id

    def _compare_conversation(self, connection: Connection, tenant: str, name: str) -> None:
        latest, live = self._conversation_state(tenant, name)
        assert history.latest_turn_in(connection, caller(tenant), name) == latest
        assert history.conversation_live(connection, caller(tenant), name) == live

    def _conversation_state(self, tenant: str, name: str | None) -> tuple[str | None, bool]:
        """Return the conversation's latest turn, and whether it has a turn in flight."""
        members = [
            known
            for known in self._known.values()
            if name is not None
            and (known.turn.tenant_id, known.turn.conversation) == (tenant, name)
        ]
        latest = max((k.turn.id for k in members if k.keeps and k.answered), default=None)
        return latest, any(not known.ended and known.deleted_at is None for known in members)

    def _an_end(
        self, id: str, status: str, *, has_text: bool = True, heard: bool = True
    ) -> FinalRecord:
        known = self._known[id]
        record = an_end(
            known.turn,
            status=status,
            text=f"text of {id}, {status}" if has_text else "",
            items=f'["{id}", "{status}"]' if has_text and known.turn.input_items else None,
            segment=a_segment(known.turn, 9, 9, encode_events([Text(status)])),
        )
        return replace(record, heard=heard)

    def _finalise(self, record: FinalRecord) -> None:
        known = self._known[record.turn.id]
        (answer,) = self._write(lambda cursor: self._finals.finalise.run(cursor, [record]))
        assert answer.won == (not known.ended)
        known.end(record)
        assert answer.status == known.status

    def _write(self, steps: Callable[[DBAPICursor], T]) -> T:
        return self._transactions.run(steps)


def a_start(id: str) -> Started:
    """Return the first event of a turn."""
    return Started(turn_id=id, model="m", provider="p", upstream_model="u", created_at=1.0)


def _link(known: Known, *, last: bool) -> ChainLink:
    turn = known.turn
    if known.deleted_at is not None:
        return ChainLink(turn_id=turn.id, lost="deleted", previous_id=turn.previous_id)
    if not known.shown:
        return ChainLink(turn_id=turn.id, lost="not_kept", previous_id=turn.previous_id)
    return ChainLink(
        turn_id=turn.id,
        previous_id=turn.previous_id,
        status=known.status,
        dialect=turn.dialect,
        dialect_options=json.encode(turn.dialect_options).decode() if last else "{}",
        input_items=turn.input_items or "",
        answer_items=known.items or "[]",
    )


def test_store_matches_model_for_any_sequence_of_operations(tmp_path: Path) -> None:
    template = StoreSettings(url=f"sqlite:///{tmp_path}/template.db")
    backend = backend_for(template)
    open_engine(backend).dispose()
    numbers = count()

    def machine() -> Machine:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(tmp_path / "template.db", path)
        copy = StoreSettings(url=f"sqlite:///{path}")
        return Machine(backend_for(copy).engine(), copy)

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # a factory works as well as a class
        settings=settings(
            max_examples=examples(30),
            stateful_step_count=30,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
