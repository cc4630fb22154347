"""The route board is built with the configured breakers, limits and keys."""

from structlog.testing import capture_logs

from actors.routing.breaker import Permit
from actors.routing.requirements import Requirements
from actors.routing.route_board import ROUTES_KEPT, Skipped
from actors.turn.model_call import Route
from actors.turn.request import PlannedRoute, Timeouts
from web.config import Config
from web.providers.factory import key_rings, make_board

UP: dict[str, object] = {"format": "openai-chat", "base_url": "http://up"}
CONFIG = Config.model_validate(
    {
        "providers": {
            "up": UP | {"limits": {"requests_per_minute": 2, "concurrent": 1}},
            "free": {"format": "simulated"},
            "dark": UP | {"api_key": ""},
        },
        "models": {},
        "breaker": {"minimum_requests": 2, "cooldown_s": 7, "cooldown_max_s": 70},
    }
)
ROUTES = [Route(provider, "m") for provider in ("up", "dark", "free")]


def test_board_uses_configured_breakers_limits_and_keys() -> None:
    board = make_board(CONFIG, key_rings(CONFIG), lambda: 100.0)
    planned = [PlannedRoute(route, Timeouts()) for route in ROUTES]
    up, _, free = planned
    assert board.choose(planned, Requirements()).open == (up, free)
    for _ in range(2):
        permit = board.enter(up.route)
        assert isinstance(permit, Permit)
        permit.failed(100.0, None)
    choice = board.choose(planned, Requirements())
    assert choice.open == (free,)
    assert choice.skipped == (
        Skipped(up.route, "breaker_open", 1.0),
        Skipped(ROUTES[1], "no_key"),
    )
    assert board.status(up.route).breaker.retry_in_s == 7.0
    status = board.status(up.route).provider
    assert (status.hot, status.usage.requests) == (True, 2)


def test_opened_and_closed_routes_are_logged_once() -> None:
    now, free = 0.0, ROUTES[2]
    board = make_board(CONFIG, {}, lambda: now)
    with capture_logs() as logs:
        for fails in (True, True, True, False, False):
            permit = board.enter(free)
            assert isinstance(permit, Permit)
            if fails:
                permit.failed(now, None)
            else:
                permit.succeeded(now)
            now += 20
    opened = {"route": "free/m", "failures": 2, "calls": 2, "rest_s": 7.0}
    assert logs == [
        {"event": "route opened", "log_level": "warning"} | opened,
        {"event": "route closed", "log_level": "info", "route": "free/m"},
    ]


async def test_gate_uses_configured_concurrency() -> None:
    board = make_board(CONFIG, {}, lambda: 100.0)
    gate = board.gate(ROUTES[0])
    await gate.acquire()
    assert (gate.in_flight, board.gate(ROUTES[2]).in_flight) == (1, 0)
    gate.release()


def test_configured_route_outlives_many_invented_routes() -> None:
    config = Config.model_validate(
        {
            "providers": {"up": UP},
            "models": {"large": {"routes": ["up/mine"]}},
            "breaker": {"minimum_requests": 1},
        }
    )
    board, mine = make_board(config, {}, lambda: 0.0), Route("up", "mine")
    for route in [mine, *(Route("up", f"made-up-{number}") for number in range(2 * ROUTES_KEPT))]:
        permit = board.enter(route)
        assert isinstance(permit, Permit)
        permit.failed(0.0, None)
    assert mine in {status.route for status in board.statuses()}
