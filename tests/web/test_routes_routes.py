"""`/v1/routes`: what is told of routes, and an operator's hand on them."""

from urllib.parse import quote

import pytest
import trio
from trio.testing import MockClock

from actors.providers.base import Route
from actors.routing.board import RouteBoard
from actors.routing.breaker import BreakerSettings, Permit
from tests.actors.fakes import ScriptedProvider, stop, text
from tests.web.house import House, in_a_moment, open_house
from web.config import Config
from web.metrics import Metrics
from web.route_json import models_by_route

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
    "retry_in_s": None,
    "prefill_refused": False,
    "requests_last_minute": 0,
    "tokens_last_minute": 0,
    "hot": False,
    "in_flight": 0,
    "keys": None,
}


def fail(house: House, route: Route, times: int) -> None:
    for _ in range(times):
        permit = house.service.board.enter(route)
        assert isinstance(permit, Permit)
        permit.failed(trio.current_time())


async def listed(house: House) -> list[dict[str, object]]:
    response = await house.get("/v1/routes")
    assert response.status_code == 200
    found = response.json()["data"]
    assert isinstance(found, list)
    return found


async def shown(house: House, path: str) -> dict[str, object]:
    response = await house.post(f"/v1/routes/{path}")
    assert response.status_code == 200, response.text
    found = response.json()
    assert isinstance(found, dict)
    return found


async def test_configured_routes_are_shown_before_anybody_asked(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(), ScriptedProvider(name="spare")) as house:
        first, second = await listed(house)
        assert first == FIELDS
        assert (second["route"], second["models"]) == ("spare/spare-model", ["large"])


async def test_a_route_that_failed_says_until_when_it_is_left_alone(
    autojump_clock: MockClock,
) -> None:
    async with open_house(ScriptedProvider()) as house:
        fail(house, MAIN, 2)
        assert (await listed(house))[0]["failures"] == 2
        fail(house, MAIN, 1)
        await trio.sleep(10.5)
        (route,) = await listed(house)
        expected = {"state": "open", "reason": "failures", "failures": 3, "retry_in_s": 49.5}
        assert route == FIELDS | expected | {"requests_last_minute": 3}
        await trio.sleep(49.5)
        (route,) = await listed(house)
        assert (route["state"], route["retry_in_s"]) == ("half_open", 0)


async def test_routes_that_clients_named_are_shown_too(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider()) as house:
        fail(house, Route("main", "other/one:free"), 1)
        assert [(r["route"], r["model"], r["models"]) for r in await listed(house)] == [
            ("main/main-model", "main-model", ["large"]),
            ("main/other/one:free", "other/one:free", []),
        ]


async def test_an_operator_opens_and_resets(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(text("a"), stop())) as house:
        opened = FIELDS | {"state": "open", "reason": "operator"}
        assert await shown(house, "main/main-model/open") == opened
        await trio.sleep(10_000)
        assert await listed(house) == [opened]
        assert await shown(house, "main/main-model/open") == opened
        assert await shown(house, "main/main-model/reset") == FIELDS
        assert await listed(house) == [FIELDS]


async def test_a_turn_passes_over_what_an_operator_opened(autojump_clock: MockClock) -> None:
    providers = [ScriptedProvider(text(name), stop(), name=name) for name in ("main", "spare")]
    async with open_house(*providers) as house:
        await shown(house, "main/main-model/open")
        answer = (await house.chat()).json()
        assert answer["choices"][0]["message"]["content"] == "spare"
        await shown(house, "main/main-model/reset")
        answer = (await house.chat()).json()
        assert answer["choices"][0]["message"]["content"] == "main"


async def test_a_turn_that_is_under_way_is_in_flight(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(text("a"), 5.0, stop())) as house:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.chat)
            await in_a_moment()
            (route,) = await listed(house)
            assert (route["in_flight"], route["requests_last_minute"]) == (1, 1)
        (route,) = await listed(house)
        assert route["in_flight"] == 0
        assert isinstance(route["tokens_last_minute"], int)
        assert route["tokens_last_minute"] > 0


@pytest.mark.parametrize(
    "model",
    ["a/b", "org/m:free", "a//b", "open", "open/open", "reset/", "ü ?#%", "x" * 512],
)
@pytest.mark.parametrize("raw", [True, False])
async def test_any_model_can_be_named(autojump_clock: MockClock, model: str, raw: bool) -> None:
    async with open_house(ScriptedProvider()) as house:
        written = quote(model, safe="/:" if raw else "")
        route = await shown(house, f"main/{written}/open")
        assert (route["model"], route["reason"], route["models"]) == (model, "operator", [])
        permit = house.service.board.enter(Route("main", model))
        assert not isinstance(permit, Permit)
        assert (await shown(house, f"main/{written}/reset"))["state"] == "closed"


@pytest.mark.parametrize("what", ["open", "reset"])
async def test_an_unknown_provider_is_named_with_those_there_are(
    autojump_clock: MockClock, what: str
) -> None:
    async with open_house(ScriptedProvider(), ScriptedProvider(name="spare")) as house:
        response = await house.post(f"/v1/routes/{'x' * 300}/gpt/{what}")
        assert response.status_code == 404
        error = response.json()["error"]
        assert (error["code"], error["param"]) == ("provider_not_found", "provider")
        assert error["message"].endswith("The providers are: main, spare.")
        assert len(error["message"]) < 300
        assert len(await listed(house)) == 2


async def test_a_name_that_no_request_could_have_is_refused(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider()) as house:
        response = await house.post(f"/v1/routes/main/{'x' * 513}/open")
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "model"
        assert len(await listed(house)) == 1


@pytest.mark.parametrize("path", ["main//open", "main/open", "main/main-model/close"])
async def test_a_path_that_names_no_route_is_not_found(
    autojump_clock: MockClock, path: str
) -> None:
    async with open_house(ScriptedProvider()) as house:
        response = await house.post(f"/v1/routes/{path}")
        assert response.status_code == 404
        assert response.json()["error"]["type"] == "invalid_request_error"


async def test_opening_is_not_done_by_reading(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider()) as house:
        response = await house.get("/v1/routes/main/main-model/open")
        assert response.status_code == 405
        assert await listed(house) == [FIELDS]


def test_a_route_of_several_models_is_shown_once_with_all_of_them() -> None:
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


def test_metrics_have_the_state_of_each_configured_route() -> None:
    board = RouteBoard(BreakerSettings(failures=1), {}, {}, lambda: 0.0)
    metrics = Metrics()
    metrics.watch_routes(board, [MAIN])
    main = str(MAIN)
    assert states(metrics) == {(main, "closed"): 1, (main, "open"): 0, (main, "half_open"): 0}
    board.open(MAIN)
    assert states(metrics) == {(main, "closed"): 0, (main, "open"): 1, (main, "half_open"): 0}


def test_metrics_have_no_route_that_a_client_made_up() -> None:
    board = RouteBoard(BreakerSettings(failures=1), {}, {}, lambda: 0.0)
    metrics = Metrics()
    metrics.watch_routes(board, [])
    named = Route("main", "whatever")
    permit = board.enter(named)
    assert isinstance(permit, Permit)
    permit.failed(0.0)
    assert board.status(named).breaker.state == "open"
    assert states(metrics) == {}
