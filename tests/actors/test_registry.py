"""Live turns: started, limited, found, drained."""

from collections.abc import Iterator
from itertools import count

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.outcome import Reason, Status
from actors.ports import Stored
from actors.registry import Draining, Registry, TooManyTurns
from tests.actors.fakes import (
    FOREVER,
    ScriptedProvider,
    Theatre,
    Trouble,
    a_request,
    stop,
    text,
    the_end,
)

ASKED = a_request("main")
TENANT = ASKED.tenant_id


def ids() -> Iterator[str]:
    return (f"turn_{number}" for number in count())


class House:
    """A registry over one provider."""

    def __init__(self, nursery: trio.Nursery, *, silence: float = FOREVER) -> None:
        self.theatre = Theatre(ScriptedProvider(text("a"), silence, stop()))
        self.registry = Registry(
            nursery, self.theatre.backstage, owner="owner_1", max_turns=3, new_id=ids().__next__
        )


async def test_a_turn_is_live_until_its_record_is_kept(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    registry = House(nursery, silence=5.0).registry
    turn = registry.start(ASKED)
    assert (turn.id, turn.owner) == ("turn_0", "owner_1")
    assert registry.find(TENANT, turn.id) is turn
    assert list(registry) == [turn]
    assert len(registry) == 1
    await turn.final.wait()
    await wait_all_tasks_blocked()
    assert registry.find(TENANT, turn.id) is None
    assert len(registry) == 0


async def test_another_tenant_finds_nothing(nursery: trio.Nursery) -> None:
    registry = House(nursery).registry
    turn = registry.start(ASKED)
    assert registry.find("tenant_2", turn.id) is None
    nursery.cancel_scope.cancel()


async def test_there_is_a_limit(nursery: trio.Nursery) -> None:
    registry = House(nursery).registry
    turns = [registry.start(ASKED) for _ in range(3)]
    with pytest.raises(TooManyTurns):
        registry.start(ASKED)
    turns[0].stop(Reason.CANCEL_REQUESTED)
    await turns[0].final.wait()
    await wait_all_tasks_blocked()
    registry.start(ASKED)
    nursery.cancel_scope.cancel()


async def test_while_draining_none_is_started(nursery: trio.Nursery) -> None:
    registry = House(nursery).registry
    registry.draining = True
    with pytest.raises(Draining):
        registry.start(ASKED)


async def test_stop_all_ends_every_turn_with_its_record(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery)
    turns = [house.registry.start(ASKED) for _ in range(3)]
    await trio.sleep(1)
    house.registry.stop_all(Reason.SERVER_SHUTDOWN)
    await house.registry.wait_empty()
    assert [the_end(turn).reason for turn in turns] == [Reason.SERVER_SHUTDOWN] * 3
    assert [record.status for record in house.theatre.store.finals] == [Status.INCOMPLETE.value] * 3
    assert trio.current_time() == 1


async def test_empty_is_waited_for_by_any_number(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    registry = House(nursery, silence=5.0).registry
    await registry.wait_empty()
    with trio.fail_after(11):
        for _ in range(2):
            registry.start(ASKED)
            async with trio.open_nursery() as waiters:
                waiters.start_soon(registry.wait_empty)
                waiters.start_soon(registry.wait_empty)
            assert len(registry) == 0


@pytest.mark.parametrize(
    ("refuse", "stored"), [(["finalise"], "spooled"), (["finalise", "spool"], "unsaved")]
)
async def test_what_is_not_in_the_database_can_be_found_until_it_is(
    autojump_clock: MockClock, nursery: trio.Nursery, refuse: list[str], stored: Stored
) -> None:
    house = House(nursery, silence=1.0)
    house.theatre.store.trouble = dict.fromkeys(refuse, Trouble.REFUSES)
    turn = house.registry.start(ASKED)
    assert house.registry.unsettled() == []
    await house.registry.wait_empty()
    assert turn.stored == stored
    assert house.registry.unsettled() == [turn]
    assert house.registry.find(TENANT, turn.id) is turn
    assert house.registry.find("tenant_2", turn.id) is None
    assert ASKED.call.messages
    assert not turn.request.call.messages
    house.registry.settled(stored)
    assert house.registry.find(TENANT, turn.id) is None
    assert house.registry.unsettled() == []


async def test_of_those_only_so_many_are_kept(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.registry.UNSETTLED_KEPT", 2)
    house = House(nursery, silence=1.0)
    house.theatre.store.trouble["finalise"] = Trouble.REFUSES
    turns = []
    for _ in range(3):
        turns.append(house.registry.start(ASKED))
        await house.registry.wait_empty()
    found = [house.registry.find(TENANT, turn.id) for turn in turns]
    assert found == [None, *turns[1:]]


async def test_a_service_that_is_cancelled_leaves_no_turn_behind(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as service:
        house = House(service)
        turn = house.registry.start(ASKED)
        await trio.sleep(1)
        service.cancel_scope.cancel()
    assert the_end(turn).reason is Reason.SERVER_SHUTDOWN
    assert len(house.registry) == 0
