"""Tests of deletions while the client disconnects or the database is slow."""

import pytest
import trio
from trio.testing import MockClock

from actors.turn.outcome import Mode
from store.records.turn_records import Principal
from tests.support.edge_harness import EdgeHarness, brief_pause, open_harness
from tests.support.responses_requests import HELLO, create_response, error_of, post_response
from tests.support.turn_fakes import FOREVER, Line, ScriptedProvider, StoreFault, text
from web.surfaces.responses.resource import DELETE_TIMEOUT_S

ENDLESS: list[Line] = [text("a"), FOREVER]


async def stream_response(harness: EdgeHarness) -> None:
    """Read a stream until the test ends."""
    await post_response(harness, stream=True)


async def assert_gone(harness: EdgeHarness) -> None:
    """Check that the response is not found and that its turn is not running."""
    assert error_of(await harness.get("/v1/responses/resp_1"))[0] == 404
    assert error_of(await harness.client.delete("/v1/responses/resp_1"))[0] == 404
    assert not harness.registry


async def test_deletion_completes_after_its_client_left(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = ScriptedProvider(*ENDLESS)
    async with open_harness(main, mode=Mode.BACKGROUND) as harness, trio.open_nursery() as nursery:
        nursery.start_soon(stream_response, harness)
        await brief_pause()
        delete = harness.store.delete_response

        async def slowly(principal: Principal, turn_id: str, now: float) -> bool:
            deleted = await delete(principal, turn_id, now)
            await trio.sleep(1)
            return deleted

        monkeypatch.setattr(harness.store, "delete_response", slowly)
        with trio.move_on_after(0.5) as left:
            await harness.client.delete("/v1/responses/resp_1")
        assert left.cancelled_caught
        await trio.sleep(1)
        await assert_gone(harness)
        assert main.answer.left_at == pytest.approx(1, abs=0.1)


async def test_deletion_that_times_out_stops_the_response(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database may still complete the deletion later."""
    main = ScriptedProvider(*ENDLESS)
    async with open_harness(main, mode=Mode.BACKGROUND) as harness, trio.open_nursery() as nursery:
        nursery.start_soon(stream_response, harness)
        await brief_pause()

        async def never(tenant_id: str, turn_id: str, now: float) -> bool:
            await trio.sleep_forever()
            raise AssertionError

        with monkeypatch.context() as patch:
            patch.setattr(harness.store, "delete_response", never)
            answer = await harness.client.delete("/v1/responses/resp_1")
        assert error_of(answer)[:2] == (503, "store_unavailable")
        assert answer.headers["retry-after"] == "2"
        assert main.answer.left_at == pytest.approx(DELETE_TIMEOUT_S, abs=0.1)
        await harness.registry.wait_empty()
        assert (await harness.client.delete("/v1/responses/resp_1")).status_code == 200
        await assert_gone(harness)


@pytest.mark.parametrize("keeper", ["spool", "none"])
async def test_response_not_yet_in_the_database_cannot_be_deleted(
    autojump_clock: MockClock, keeper: str
) -> None:
    """The final record would otherwise bring the content back."""
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        store = harness.store
        store.trouble |= {"begin": StoreFault.HANGS, "finalise": StoreFault.REFUSES}
        if keeper == "none":
            store.trouble["spool"] = StoreFault.REFUSES
        with trio.move_on_after(1):
            await post_response(harness)
        await brief_pause()
        answer = await harness.client.delete("/v1/responses/resp_1")
        assert error_of(answer)[:2] == (503, "store_unavailable")
        assert answer.headers["retry-after"] == "2"
        assert (await harness.get("/v1/responses/resp_1")).status_code == 200

        store.trouble.clear()
        ((_, record, stored),) = harness.turns.observer.ended
        assert stored == ("spooled" if keeper == "spool" else "unsaved")
        await store.finalise(record)
        harness.registry.settled(stored)
        assert (await harness.client.delete("/v1/responses/resp_1")).status_code == 200
        await assert_gone(harness)


async def test_response_with_a_spooled_final_record_can_be_deleted(
    autojump_clock: MockClock,
) -> None:
    """The final record is written without the content."""
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        harness.store.trouble["finalise"] = StoreFault.REFUSES
        await create_response(harness)
        assert (await harness.client.delete("/v1/responses/resp_1")).status_code == 200
        await assert_gone(harness)
        await create_response(harness, conversation="c")


async def test_response_inserted_late_is_deleted_after_its_end(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*ENDLESS)
    async with open_harness(main, mode=Mode.BACKGROUND) as harness, trio.open_nursery() as nursery:
        nursery.start_soon(stream_response, harness)
        await brief_pause()
        del harness.store.begun["turn_1"]
        assert (await harness.client.delete("/v1/responses/resp_1")).status_code == 200
        assert harness.store.deleted.keys() == {"turn_1"}
        await assert_gone(harness)
