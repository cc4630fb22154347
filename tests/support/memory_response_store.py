"""Responses, histories, conversations and deletions in memory, following the store's contract."""

from collections.abc import Sequence
from sys import getsizeof

import trio
from msgspec import json
from msgspec.structs import replace

from store.records.turn_records import (
    ChainLink,
    Finalised,
    FinalRecord,
    ItemPlace,
    NewTurn,
    Principal,
    Role,
    Segment,
    StoredResponse,
    TurnItems,
    TurnView,
)
from tests.support.turn_fakes import MemoryStore


class ItemStore(MemoryStore):
    """An in-memory store that keeps items; `reads` counts the queries for them."""

    def __init__(self) -> None:
        super().__init__()
        self.deleted: dict[str, float] = {}
        self.reads = 0

    async def finalise(self, record: FinalRecord) -> Finalised:
        answer = await super().finalise(record)
        self.begun.setdefault(record.turn.id, record.turn)
        return answer

    async def response(self, principal: Principal, turn_id: str) -> StoredResponse | None:
        await self._read()
        turn = self._visible_turn(principal.tenant_id, turn_id)
        if turn is None or turn.input_items is None:
            return None
        final = self._final_of(turn_id)
        return StoredResponse(
            turn=running_turn_view(turn) if final is None else ended_turn_view(final),
            input_items=turn.input_items,
            answer_items=(final and final.items) or "[]",
        )

    async def chain(
        self, principal: Principal, turn_id: str, limit: int, max_bytes: int
    ) -> list[ChainLink]:
        await self._read()
        links: list[ChainLink] = []
        next_id: str | None = turn_id
        while next_id is not None and len(links) < limit:
            link = self._link(principal.tenant_id, next_id)
            max_bytes -= getsizeof(link.input_items) + getsizeof(link.answer_items)
            if max_bytes < 0 and links:
                break
            links.append(link)
            next_id = link.previous_id
        return links[::-1]

    async def latest_turn_in(self, principal: Principal, conversation: str) -> str | None:
        await self._read()
        ended = [
            record.turn.id
            for record in self.finals
            if (record.turn.tenant_id, record.turn.conversation)
            == (principal.tenant_id, conversation)
            and record.turn.keep_text
            and record.has_answer
            and record.turn.id not in self.deleted
        ]
        return max(ended, key=_number, default=None)

    async def conversation_live(self, principal: Principal, conversation: str) -> bool:
        await self._read()
        return any(
            (turn.tenant_id, turn.conversation) == (principal.tenant_id, conversation)
            and self._final_of(turn.id) is None
            and turn.id not in self.deleted
            for turn in self.begun.values()
        )

    async def turn_items(
        self, principal: Principal, wanted: Sequence[tuple[str, Role]], max_bytes: int
    ) -> list[TurnItems]:
        await self._read()
        found: list[TurnItems] = []
        for turn_id, role in wanted:
            link = self._link(principal.tenant_id, turn_id)
            items = link.input_items if role == "input" else link.answer_items
            if link.lost is None and sum(len(one.items) for one in found) <= max_bytes:
                found.append(TurnItems(turn_id, role, items))
        return found

    async def item_places(self, principal: Principal, item_ids: Sequence[str]) -> list[ItemPlace]:
        await self._read()
        visible = [t for t in self.begun.values() if self._visible_turn(principal.tenant_id, t.id)]
        places = [ItemPlace(id, turn.id, "input") for turn in visible for id in turn.input_ids]
        for turn in visible:
            final = self._final_of(turn.id)
            ids = final.answer_ids if final else ()
            places += [ItemPlace(id, turn.id, "assistant") for id in ids]
        return [place for place in places if place.item_id in item_ids]

    async def delete_response(self, principal: Principal, turn_id: str, now: float) -> bool:
        await self._read()
        if self._visible_turn(principal.tenant_id, turn_id) is None:
            return False
        self.deleted[turn_id] = now
        self.kept.pop(turn_id, None)
        return True

    def _keep(self, segment: Segment) -> None:
        if segment.turn_id not in self.deleted:
            super()._keep(segment)

    async def _read(self) -> None:
        self.reads += 1
        await trio.lowlevel.checkpoint()

    def _visible_turn(self, tenant_id: str, turn_id: str) -> NewTurn | None:
        turn = self.begun.get(turn_id)
        if turn is None or turn.tenant_id != tenant_id or turn_id in self.deleted:
            return None
        return turn

    def _final_of(self, turn_id: str) -> FinalRecord | None:
        return next((record for record in self.finals if record.turn.id == turn_id), None)

    def _link(self, tenant_id: str, turn_id: str) -> ChainLink:
        turn = self.begun.get(turn_id)
        if turn is None or turn.tenant_id != tenant_id:
            return ChainLink(turn_id=turn_id, lost="missing")
        if turn_id in self.deleted:
            return ChainLink(turn_id=turn_id, lost="deleted", previous_id=turn.previous_id)
        if turn.input_items is None:
            return ChainLink(turn_id=turn_id, lost="not_kept", previous_id=turn.previous_id)
        final = self._final_of(turn_id)
        return ChainLink(
            turn_id=turn_id,
            previous_id=turn.previous_id,
            status="in_progress" if final is None else final.status,
            dialect=turn.dialect,
            dialect_options=json.encode(turn.dialect_options).decode(),
            input_items=turn.input_items,
            answer_items=(final and final.items) or "[]",
        )


def ended_turn_view(record: FinalRecord) -> TurnView:
    """Return the row of an ended turn."""
    return replace(
        running_turn_view(record.turn),
        status=record.status,
        reason=record.reason,
        disconnect_stage=record.disconnect_stage,
        provider=record.provider,
        upstream_model=record.upstream_model,
        usage=record.usage,
        text=record.text,
        error=record.error,
        first_token_at=record.first_token_at,
        ended_at=record.ended_at,
        last_event=record.last_event,
        epoch=record.epoch,
        authority=record.turn.authority,
        verdicts=record.verdicts,
        attempts=tuple(attempt for step in record.steps for attempt in step.attempts),
    )


def running_turn_view(turn: NewTurn) -> TurnView:
    """Return the row of a turn in progress."""
    return TurnView(
        id=turn.id,
        tenant_id=turn.tenant_id,
        owner=turn.owner,
        status="in_progress",
        reason=None,
        disconnect_stage=None,
        model=turn.model,
        provider=None,
        upstream_model=None,
        mode=turn.mode,
        dialect=turn.dialect,
        dialect_options=turn.dialect_options,
        keep_text=turn.keep_text,
        usage=None,
        text="",
        error=None,
        created_at=turn.created_at,
        first_token_at=None,
        ended_at=None,
        last_event=None,
        epoch=0,
        previous_id=turn.previous_id,
        conversation=turn.conversation,
        keeps_items=turn.input_items is not None,
    )


def _number(turn_id: str) -> int:
    return int(turn_id.removeprefix("turn_"))
