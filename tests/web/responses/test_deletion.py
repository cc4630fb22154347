"""Deleting responses at bad moments: the client leaves, or the database is late."""

import pytest
import trio
from trio.testing import MockClock

from actors.outcome import Mode
from tests.actors.fakes import FOREVER, Line, ScriptedProvider, Trouble, text
from tests.web.house import House, in_a_moment, open_house
from tests.web.responding import HELLO, error_of, respond, responded
from web.responses.deletion import WITHIN_S

ENDLESS: list[Line] = [text("a"), FOREVER]


async def ask(house: House) -> None:
    """A stream that is read for as long as the test lasts."""
    await respond(house, stream=True)


async def assert_gone(house: House) -> None:
    """Nothing of the response is shown, and it does not play."""
    assert error_of(await house.get("/v1/responses/resp_1"))[0] == 404
    assert error_of(await house.client.delete("/v1/responses/resp_1"))[0] == 404
    assert not house.registry


async def test_who_leaves_while_it_is_deleted_leaves_it_deleted(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = ScriptedProvider(*ENDLESS)
    async with open_house(main, mode=Mode.BACKGROUND) as house, trio.open_nursery() as nursery:
        nursery.start_soon(ask, house)
        await in_a_moment()
        delete = house.store.delete_response

        async def slowly(tenant_id: str, turn_id: str, now: float) -> bool:
            deleted = await delete(tenant_id, turn_id, now)
            await trio.sleep(1)
            return deleted

        monkeypatch.setattr(house.store, "delete_response", slowly)
        with trio.move_on_after(0.5) as left:
            await house.client.delete("/v1/responses/resp_1")
        assert left.cancelled_caught
        await trio.sleep(1)
        await assert_gone(house)
        assert main.answer.left_at == pytest.approx(1, abs=0.1)


async def test_a_deletion_that_takes_too_long_stops_the_response(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database may carry it out later."""
    main = ScriptedProvider(*ENDLESS)
    async with open_house(main, mode=Mode.BACKGROUND) as house, trio.open_nursery() as nursery:
        nursery.start_soon(ask, house)
        await in_a_moment()

        async def never(tenant_id: str, turn_id: str, now: float) -> bool:
            await trio.sleep_forever()
            raise AssertionError

        with monkeypatch.context() as patch:
            patch.setattr(house.store, "delete_response", never)
            answer = await house.client.delete("/v1/responses/resp_1")
        assert error_of(answer)[:2] == (503, "store_unavailable")
        assert answer.headers["retry-after"] == "2"
        assert main.answer.left_at == pytest.approx(WITHIN_S, abs=0.1)
        await house.registry.wait_empty()
        assert (await house.client.delete("/v1/responses/resp_1")).status_code == 200
        await assert_gone(house)


@pytest.mark.parametrize("keeper", ["spool", "nobody"])
async def test_what_the_database_is_yet_to_get_cannot_be_deleted_there(
    autojump_clock: MockClock, keeper: str
) -> None:
    """It would come back with what was asked."""
    async with open_house(ScriptedProvider(*HELLO)) as house:
        store = house.store
        store.trouble |= {"begin": Trouble.HANGS, "finalise": Trouble.REFUSES}
        if keeper == "nobody":
            store.trouble["spool"] = Trouble.REFUSES
        with trio.move_on_after(1):
            await respond(house)
        await in_a_moment()
        answer = await house.client.delete("/v1/responses/resp_1")
        assert error_of(answer)[:2] == (503, "store_unavailable")
        assert answer.headers["retry-after"] == "2"
        assert (await house.get("/v1/responses/resp_1")).status_code == 200

        store.trouble.clear()
        ((_, record, stored),) = house.theatre.observer.ended
        assert stored == ("spooled" if keeper == "spool" else "unsaved")
        await store.finalise(record)
        house.registry.settled(stored)
        assert (await house.client.delete("/v1/responses/resp_1")).status_code == 200
        await assert_gone(house)


async def test_a_spooled_end_of_what_the_database_has_can_be_deleted(
    autojump_clock: MockClock,
) -> None:
    """What was said is left out when the end is written."""
    async with open_house(ScriptedProvider(*HELLO)) as house:
        house.store.trouble["finalise"] = Trouble.REFUSES
        await responded(house)
        assert (await house.client.delete("/v1/responses/resp_1")).status_code == 200
        await assert_gone(house)
        await responded(house, conversation="c")


async def test_what_is_inserted_late_is_deleted_after_its_end(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*ENDLESS)
    async with open_house(main, mode=Mode.BACKGROUND) as house, trio.open_nursery() as nursery:
        nursery.start_soon(ask, house)
        await in_a_moment()
        del house.store.begun["turn_1"]
        assert (await house.client.delete("/v1/responses/resp_1")).status_code == 200
        assert house.store.deleted.keys() == {"turn_1"}
        await assert_gone(house)
