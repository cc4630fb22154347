"""The planner: routes, timeouts, price and mode for a model name."""

import pytest

from actors.turn.model_call import Capabilities
from actors.turn.outcome import Mode, OnCut, Price
from web.config import Config
from web.http.api_error import ApiError
from web.turns.planner import Planner

SETTINGS: dict[str, object] = {
    "providers": {
        "main": {
            "format": "openai-chat",
            "base_url": "http://main.example/v1",
            "timeouts": {"idle_s": 7, "connect_s": 2},
        },
        "locked": {
            "format": "openai-chat",
            "base_url": "http://locked.example/v1",
            "api_key": "env:TROUPER_TEST_NO_SUCH_KEY",
        },
        "sim": {"format": "simulated"},
    },
    "models": {
        "large": {
            "routes": ["main/m-1", "locked/m-2", "sim/poem"],
            "price": {"input": 1.25, "output": 10},
            "mode": "linger",
            "resume_window_s": 12,
            "timeouts": {"idle_s": 9, "total_s": 100},
        },
        "dark": {"routes": ["locked/m-2"]},
        "play": {"routes": ["sim/poem"]},
        "deep/name": {"routes": ["main/x"]},
    },
    "timeouts": {"first_byte_s": 3},
    "turns": {"mode": "background", "resume_window_s": 44},
}


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner(Config.model_validate(SETTINGS))


def refused(planner: Planner, name: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        planner.find(name)
    return caught.value


def test_model_settings_take_precedence(planner: Planner) -> None:
    plan = planner.find("large")
    assert (plan.mode, plan.resume_window_s, plan.total_s) == (Mode.LINGER, 12, 100)
    assert plan.price == Price(input=1_250_000, output=10_000_000)


def test_general_settings_are_the_default(planner: Planner) -> None:
    plan = planner.find("play")
    assert (plan.mode, plan.resume_window_s, plan.total_s) == (Mode.BACKGROUND, 44, 600)
    assert plan.price == Price()


def test_routes_keep_their_order_and_include_those_without_a_key(
    planner: Planner,
) -> None:
    routes = [str(planned.route) for planned in planner.find("large").routes]
    assert routes == ["main/m-1", "locked/m-2", "sim/poem"]


def test_each_route_has_its_timeouts(planner: Planner) -> None:
    main, _, sim = (planned.timeouts for planned in planner.find("large").routes)
    assert (main.connect_s, main.first_byte_s, main.idle_s) == (2, 3, 9)
    assert (sim.connect_s, sim.first_byte_s, sim.idle_s) == (5, 3, 9)


def test_routes_that_can_reason_may_be_silent_longer() -> None:
    routes = ["main/a", {"route": "main/b", "capabilities": ["tools"]}]
    providers = {"main": {"format": "simulated"}}
    planner = Planner(
        Config.model_validate({"providers": providers, "models": {"large": {"routes": routes}}})
    )
    silences = [planned.timeouts.first_token_s for planned in planner.find("large").routes]
    assert silences == [300, 30]


def test_route_can_be_named_directly(planner: Planner) -> None:
    plan = planner.find("main/any/model")
    assert [str(planned.route) for planned in plan.routes] == ["main/any/model"]
    assert plan.routes[0].timeouts.idle_s == 7
    assert plan.price == Price()
    assert plan.mode is Mode.BACKGROUND


def test_model_takes_precedence_over_a_route_of_that_name(planner: Planner) -> None:
    assert [str(p.route) for p in planner.find("deep/name").routes] == ["main/x"]


def test_simulated_model_takes_settings(planner: Planner) -> None:
    assert [str(p.route) for p in planner.find("play:cut=40").routes] == ["sim/poem:cut=40"]


@pytest.mark.parametrize(
    "name", ["", "tiny", "large:cut=4", "main/", "/m-1", "nobody/m-1", "main", "play/x", ":", "/"]
)
def test_unknown_name_is_404_and_lists_the_models(planner: Planner, name: str) -> None:
    info = refused(planner, name).info
    assert (info.status, info.code, info.param) == (404, "model_not_found", "model")
    for known in ("large", "dark", "play"):
        assert known in info.message


def test_long_name_is_shortened_in_the_error(planner: Planner) -> None:
    assert len(refused(planner, "x" * 100_000).info.message) < 1000


@pytest.mark.parametrize("name", ["dark", "locked/any"])
def test_without_a_usable_key_it_is_503(planner: Planner, name: str) -> None:
    info = refused(planner, name).info
    assert (info.status, info.code) == (503, "no_usable_route")
    assert info.retry_after_s == 60


def test_names_are_in_configuration_order(planner: Planner) -> None:
    assert planner.names == ["large", "dark", "play", "deep/name"]


def test_model_settings_include_capabilities_and_on_cut() -> None:
    route = {"route": "sim/a", "capabilities": ["prefill"]}
    model = {
        "routes": [route, "sim/b"],
        "context_window": 9,
        "on_cut": "fail",
        "continue_instruction": "Go on.",
    }
    planner = Planner(Config.model_validate(SETTINGS | {"models": {"m": model}}))
    plan = planner.find("m")
    assert (plan.on_cut, plan.continue_instruction) == (OnCut.FAIL, "Go on.")
    able = Capabilities(
        prefill=True,
        images=False,
        files=False,
        audio=False,
        video=False,
        tools=False,
        reasoning=False,
        context_window=9,
    )
    assert [p.capabilities for p in plan.routes] == [able, Capabilities(context_window=9)]
    assert planner.find("m:cut=3").routes[0].capabilities == able
    direct = planner.find("sim/a")
    assert (direct.on_cut, direct.routes[0].capabilities) == (OnCut.CONTINUE, Capabilities())
