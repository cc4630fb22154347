"""Health, readiness and metrics."""

import pytest
import trio
from trio.testing import MockClock

from tests.support.edge_harness import brief_pause, open_harness
from tests.support.turn_fakes import ScriptedProvider, StoreFault, stop, text


async def test_health_does_not_need_the_store(autojump_clock: MockClock) -> None:
    async with open_harness() as harness:
        harness.store.trouble["checkpoint"] = StoreFault.REFUSES
        assert (await harness.get("/health")).status_code == 200


async def test_ready_only_while_the_store_takes_writes(autojump_clock: MockClock) -> None:
    async with open_harness() as harness:
        assert (await harness.get("/ready")).status_code == 200
        harness.store.trouble["checkpoint"] = StoreFault.REFUSES
        response = await harness.get("/ready")
        assert response.status_code == 503
        assert response.headers["retry-after"]


async def test_not_ready_while_draining(autojump_clock: MockClock) -> None:
    async with open_harness() as harness:
        harness.registry.draining = True
        response = await harness.get("/ready")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert response.json() == {"status": "draining"}


async def test_metrics_count_live_turns(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(text("a"), 1.0, stop())) as harness:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(harness.chat)
            await brief_pause()
            exposed = (await harness.get("/metrics")).text
            assert 'trouper_live_turns{stage="streaming"} 1.0' in exposed
        exposed = (await harness.get("/metrics")).text
        assert 'trouper_live_turns{stage="streaming"} 0.0' in exposed
        assert "trouper_spooled_records 0.0" in exposed


@pytest.mark.parametrize("host", ["a..b", ".", "a" * 70, "x y", "[::1"])
async def test_host_that_is_not_a_domain_name_is_421(autojump_clock: MockClock, host: str) -> None:
    async with open_harness() as harness:
        response = await harness.get("/health", headers={"host": host})
        assert response.status_code == 421
