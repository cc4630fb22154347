"""Models, health, readiness, metrics."""

import pytest
import trio
from openai.types import Model
from trio.testing import MockClock

from tests.actors.fakes import ScriptedProvider, Trouble, stop, text
from tests.web.dialects.reading import assert_known
from tests.web.house import in_a_moment, open_house


async def test_the_models_that_there_are(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        listed = (await house.get("/v1/models")).json()
        assert listed["object"] == "list"
        (described,) = listed["data"]
        model = Model.model_validate(described, strict=True)
        assert_known(model)
        assert model.id == "large"
        assert (await house.get("/v1/models/large")).json() == described


@pytest.mark.parametrize("name", ["tiny", "main/main-model", "x" * 1000])
async def test_a_model_that_is_not_listed(autojump_clock: MockClock, name: str) -> None:
    async with open_house() as house:
        response = await house.get(f"/v1/models/{name}")
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"
        assert len(response.content) < 500


async def test_health_asks_nobody(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        house.store.trouble["checkpoint"] = Trouble.REFUSES
        assert (await house.get("/health")).status_code == 200


async def test_ready_while_the_store_takes_writes(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        assert (await house.get("/ready")).status_code == 200
        house.store.trouble["checkpoint"] = Trouble.REFUSES
        response = await house.get("/ready")
        assert response.status_code == 503
        assert response.headers["retry-after"]


async def test_not_ready_while_draining(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        house.registry.draining = True
        response = await house.get("/ready")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert response.json() == {"status": "draining"}


async def test_metrics_count_what_is_live(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(text("a"), 1.0, stop())) as house:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.chat)
            await in_a_moment()
            exposed = (await house.get("/metrics")).text
            assert 'trouper_live_turns{stage="streaming"} 1.0' in exposed
        exposed = (await house.get("/metrics")).text
        assert 'trouper_live_turns{stage="streaming"} 0.0' in exposed
        assert "trouper_spooled_records 0.0" in exposed


@pytest.mark.parametrize("host", ["a..b", ".", "a" * 70, "x y", "[::1"])
async def test_routes_are_the_same_for_every_host(autojump_clock: MockClock, host: str) -> None:
    async with open_house() as house:
        response = await house.get("/health", headers={"host": host})
        assert response.status_code == 200
