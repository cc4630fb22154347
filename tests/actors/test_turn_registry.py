"""Tests of the registry: start, limit, lookup and draining of live turns."""

from collections.abc import Iterator
from itertools import count

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.turn.outcome import Reason, Status
from actors.turn.store_records import Principal, Stored
from actors.turn_registry import Draining, Registry, TooManyTurns
from tests.support.turn_fakes import (
    FOREVER,
    ScriptedProvider,
    StoreFault,
    TurnHarness,
    a_request,
    stop,
    text,
    the_end,
)

REQUEST = a_request("main")
CALLER = REQUEST.principal
OTHER = Principal(tenant_id="tenant_2")


def ids() -> Iterator[str]:
    return (f"turn_{number}" for number in count())


class RegistrySetup:
    """A registry with one provider."""

    def __init__(self, nursery: trio.Nursery, *, silence: float = FOREVER) -> None:
        self.harness = TurnHarness(ScriptedProvider(text("a"), silence, stop()))
        self.registry = Registry(
            nursery, self.harness.dependencies, owner="owner_1", max_turns=3, new_id=ids().__next__
        )


async def test_turn_is_live_until_its_record_is_stored(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    registry = RegistrySetup(nursery, silence=5.0).registry
    turn = registry.start(REQUEST)
    assert (turn.id, turn.owner) == ("turn_0", "owner_1")
    assert registry.find(CALLER, turn.id) is turn
    assert list(registry) == [turn]
    assert len(registry) == 1
    await turn.final.wait()
    await wait_all_tasks_blocked()
    assert registry.find(CALLER, turn.id) is None
    assert len(registry) == 0


async def test_turn_is_not_found_by_another_tenant(nursery: trio.Nursery) -> None:
    registry = RegistrySetup(nursery).registry
    turn = registry.start(REQUEST)
    assert registry.find(OTHER, turn.id) is None
    nursery.cancel_scope.cancel()


async def test_number_of_live_turns_is_limited(nursery: trio.Nursery) -> None:
    registry = RegistrySetup(nursery).registry
    turns = [registry.start(REQUEST) for _ in range(3)]
    with pytest.raises(TooManyTurns):
        registry.start(REQUEST)
    turns[0].stop(Reason.CANCEL_REQUESTED)
    await turns[0].final.wait()
    await wait_all_tasks_blocked()
    registry.start(REQUEST)
    nursery.cancel_scope.cancel()


async def test_draining_registry_starts_no_turns(nursery: trio.Nursery) -> None:
    registry = RegistrySetup(nursery).registry
    registry.draining = True
    with pytest.raises(Draining):
        registry.start(REQUEST)


async def test_stop_all_ends_every_turn_with_its_record(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    setup = RegistrySetup(nursery)
    turns = [setup.registry.start(REQUEST) for _ in range(3)]
    await trio.sleep(1)
    setup.registry.stop_all(Reason.SERVER_SHUTDOWN)
    await setup.registry.wait_empty()
    assert [the_end(turn).reason for turn in turns] == [Reason.SERVER_SHUTDOWN] * 3
    assert [record.status for record in setup.harness.store.finals] == [Status.INCOMPLETE.value] * 3
    assert trio.current_time() == 1


async def test_several_tasks_can_wait_for_empty(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    registry = RegistrySetup(nursery, silence=5.0).registry
    await registry.wait_empty()
    with trio.fail_after(11):
        for _ in range(2):
            registry.start(REQUEST)
            async with trio.open_nursery() as waiters:
                waiters.start_soon(registry.wait_empty)
                waiters.start_soon(registry.wait_empty)
            assert len(registry) == 0


@pytest.mark.parametrize(
    ("refuse", "stored"), [(["finalise"], "spooled"), (["finalise", "spool"], "unsaved")]
)
async def test_ended_turn_is_found_until_its_record_is_in_the_database(
    autojump_clock: MockClock, nursery: trio.Nursery, refuse: list[str], stored: Stored
) -> None:
    setup = RegistrySetup(nursery, silence=1.0)
    setup.harness.store.trouble = dict.fromkeys(refuse, StoreFault.REFUSES)
    turn = setup.registry.start(REQUEST)
    assert setup.registry.unsettled() == []
    await setup.registry.wait_empty()
    assert turn.stored == stored
    assert setup.registry.unsettled() == [turn]
    assert setup.registry.find(CALLER, turn.id) is turn
    assert setup.registry.find(OTHER, turn.id) is None
    assert REQUEST.call.messages
    assert not turn.request.call.messages
    setup.registry.settled(stored)
    assert setup.registry.find(CALLER, turn.id) is None
    assert setup.registry.unsettled() == []


async def test_number_of_unsettled_turns_is_limited(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.turn_registry.UNSETTLED_KEPT", 2)
    setup = RegistrySetup(nursery, silence=1.0)
    setup.harness.store.trouble["finalise"] = StoreFault.REFUSES
    turns = []
    for _ in range(3):
        turns.append(setup.registry.start(REQUEST))
        await setup.registry.wait_empty()
    found = [setup.registry.find(CALLER, turn.id) for turn in turns]
    assert found == [None, *turns[1:]]


async def test_cancelled_service_leaves_no_turn_behind(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as service:
        setup = RegistrySetup(service)
        turn = setup.registry.start(REQUEST)
        await trio.sleep(1)
        service.cancel_scope.cancel()
    assert the_end(turn).reason is Reason.SERVER_SHUTDOWN
    assert len(setup.registry) == 0
