"""`/v1/routes`: route states, and the actions of an operator."""

from urllib.parse import quote

import pytest
import trio
from trio.testing import MockClock

from actors.routing.breaker import BreakerSettings, Permit
from actors.routing.key_ring import KeyRing
from actors.routing.route_board import RouteBoard
from actors.turn.model_call import Route
from tests.support.edge_harness import EdgeHarness, brief_pause, open_harness
from tests.support.turn_fakes import ScriptedProvider, stop, text
from web.config import Config
from web.observability.metrics import Metrics
from web.providers.factory import models_by_route

MAIN = Route("main", "main-model")
FIELDS = {
    "route": "main/main-model",
    "object": "route",
    "provider": "main",
    "model": "main-model",
    "models": ["large"],
    "state": "closed",
    "reason": None,
    "failures": 0,
    "calls": 0,
    "retry_in_s": None,
    "prefill_refused": False,
    "requests_last_minute": 0,
    "tokens_last_minute": 0,
    "hot": False,
    "in_flight": 0,
    "keys": None,
}


def fail(harness: EdgeHarness, route: Route, times: int) -> None:
    for _ in range(times):
        permit = harness.service.board.enter(route)
        assert isinstance(permit, Permit)
        permit.failed(trio.current_time(), None)


async def listed(harness: EdgeHarness) -> list[dict[str, object]]:
    response = await harness.get("/v1/routes")
    assert response.status_code == 200
    found = response.json()["data"]
    assert isinstance(found, list)
    return found


async def post_route(harness: EdgeHarness, path: str) -> dict[str, object]:
    response = await harness.post(f"/v1/routes/{path}")
    assert response.status_code == 200, response.text
    found = response.json()
    assert isinstance(found, dict)
    return found


async def test_configured_routes_are_listed_before_any_request(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(), ScriptedProvider(name="spare")) as harness:
        first, second = await listed(harness)
        assert first == FIELDS
        assert (second["route"], second["models"]) == ("spare/spare-model", ["large"])


async def test_open_route_shows_when_it_is_retried(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(ScriptedProvider()) as harness:
        fail(harness, MAIN, 4)
        assert (await listed(harness))[0]["failures"] == 4
        fail(harness, MAIN, 1)
        await trio.sleep(1.5)
        (route,) = await listed(harness)
        expected = {"state": "open", "reason": "failures", "retry_in_s": 3.5}
        counts = {"failures": 5, "calls": 5, "requests_last_minute": 5}
        assert route == FIELDS | expected | counts
        await trio.sleep(3.5)
        (route,) = await listed(harness)
        assert (route["state"], route["retry_in_s"]) == ("half_open", 0)


async def test_routes_named_by_clients_are_listed(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider()) as harness:
        fail(harness, Route("main", "other/one:free"), 1)
        assert [(r["route"], r["model"], r["models"]) for r in await listed(harness)] == [
            ("main/main-model", "main-model", ["large"]),
            ("main/other/one:free", "other/one:free", []),
        ]


async def test_operator_opens_and_resets_a_route(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(text("a"), stop())) as harness:
        opened = FIELDS | {"state": "open", "reason": "operator"}
        assert await post_route(harness, "main/main-model/open") == opened
        await trio.sleep(10_000)
        assert await listed(harness) == [opened]
        assert await post_route(harness, "main/main-model/open") == opened
        assert await post_route(harness, "main/main-model/reset") == FIELDS
        assert await listed(harness) == [FIELDS]


async def test_turn_skips_a_route_opened_by_an_operator(autojump_clock: MockClock) -> None:
    providers = [ScriptedProvider(text(name), stop(), name=name) for name in ("main", "spare")]
    async with open_harness(*providers) as harness:
        await post_route(harness, "main/main-model/open")
        answer = (await harness.chat()).json()
        assert answer["choices"][0]["message"]["content"] == "spare"
        await post_route(harness, "main/main-model/reset")
        answer = (await harness.chat()).json()
        assert answer["choices"][0]["message"]["content"] == "main"


async def test_live_turn_is_in_flight(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(text("a"), 5.0, stop())) as harness:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(harness.chat)
            await brief_pause()
            (route,) = await listed(harness)
            assert (route["in_flight"], route["requests_last_minute"]) == (1, 1)
        (route,) = await listed(harness)
        assert route["in_flight"] == 0
        assert isinstance(route["tokens_last_minute"], int)
        assert route["tokens_last_minute"] > 0


@pytest.mark.parametrize(
    "model",
    ["a/b", "org/m:free", "a//b", "open", "open/open", "reset/", "ü ?#%", "x" * 512],
)
@pytest.mark.parametrize("raw", [True, False])
async def test_any_model_can_be_named(autojump_clock: MockClock, model: str, raw: bool) -> None:
    async with open_harness(ScriptedProvider()) as harness:
        written = quote(model, safe="/:" if raw else "")
        route = await post_route(harness, f"main/{written}/open")
        assert (route["model"], route["reason"], route["models"]) == (model, "operator", [])
        permit = harness.service.board.enter(Route("main", model))
        assert not isinstance(permit, Permit)
        assert (await post_route(harness, f"main/{written}/reset"))["state"] == "closed"


@pytest.mark.parametrize("what", ["open", "reset"])
async def test_unknown_provider_error_lists_the_providers(
    autojump_clock: MockClock, what: str
) -> None:
    async with open_harness(ScriptedProvider(), ScriptedProvider(name="spare")) as harness:
        response = await harness.post(f"/v1/routes/{'x' * 300}/gpt/{what}")
        assert response.status_code == 404
        error = response.json()["error"]
        assert (error["code"], error["param"]) == ("provider_not_found", "provider")
        assert error["message"].endswith("The providers are: main, spare.")
        assert len(error["message"]) < 300
        assert len(await listed(harness)) == 2


async def test_overlong_model_name_is_refused(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider()) as harness:
        response = await harness.post(f"/v1/routes/main/{'x' * 513}/open")
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "model"
        assert len(await listed(harness)) == 1


@pytest.mark.parametrize("path", ["main//open", "main/open", "main/main-model/close"])
async def test_path_without_a_route_is_404(autojump_clock: MockClock, path: str) -> None:
    async with open_harness(ScriptedProvider()) as harness:
        response = await harness.post(f"/v1/routes/{path}")
        assert response.status_code == 404
        assert response.json()["error"]["type"] == "invalid_request_error"


async def test_get_does_not_open_a_route(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider()) as harness:
        response = await harness.get("/v1/routes/main/main-model/open")
        assert response.status_code == 405
        assert await listed(harness) == [FIELDS]


def test_route_of_several_models_lists_them_all() -> None:
    config = Config.model_validate(
        {
            "providers": {"up": {"format": "simulated"}},
            "models": {
                "large": {"routes": ["up/a", "up/b", "up/a"]},
                "small": {"routes": ["up/b"]},
            },
        }
    )
    assert models_by_route(config) == {
        Route("up", "a"): ["large"],
        Route("up", "b"): ["large", "small"],
    }


def states(metrics: Metrics) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["route"], sample.labels["state"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "trouper_route_state"
    }


def test_metrics_show_the_state_of_configured_routes() -> None:
    board = RouteBoard(BreakerSettings(minimum_requests=1), {}, {}, lambda: 0.0)
    metrics = Metrics()
    metrics.watch_routes(board, [MAIN])
    main = str(MAIN)
    assert states(metrics) == {(main, "closed"): 1, (main, "open"): 0, (main, "half_open"): 0}
    board.open(MAIN)
    assert states(metrics) == {(main, "closed"): 0, (main, "open"): 1, (main, "half_open"): 0}


def test_metrics_show_a_route_without_usable_key_as_open() -> None:
    ring = KeyRing(["k"])
    board = RouteBoard(BreakerSettings(), {}, {"main": ring}, lambda: 0.0)
    metrics = Metrics()
    metrics.watch_routes(board, [MAIN])
    ring.refused("k", 0.0)
    assert states(metrics)[str(MAIN), "open"] == 1


def test_metrics_omit_routes_invented_by_clients() -> None:
    board = RouteBoard(BreakerSettings(minimum_requests=1), {}, {}, lambda: 0.0)
    metrics = Metrics()
    metrics.watch_routes(board, [])
    named = Route("main", "whatever")
    permit = board.enter(named)
    assert isinstance(permit, Permit)
    permit.failed(0.0, None)
    assert board.status(named).breaker.state == "open"
    assert states(metrics) == {}
