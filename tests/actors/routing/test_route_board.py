"""Tests of the route board: order of routes, skip reasons and the state that is kept."""

from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock

from actors.routing.breaker import BreakerSettings, Permit
from actors.routing.concurrency_gate import ProviderBusy
from actors.routing.key_ring import REST_S, KeyCounts, KeyRing
from actors.routing.provider_limits import ProviderLimits
from actors.routing.rate_window import RateUsage
from actors.routing.requirements import Requirements
from actors.routing.route_board import ROUTES_KEPT, RouteBoard, Skipped
from actors.turn.model_call import Capabilities, Route
from actors.turn.request import PlannedRoute, Timeouts

TEXT = Requirements(context_tokens=10)
A, B, C = Route("a", "one"), Route("b", "two"), Route("c", "three")


class BoardHarness:
    """A route board with a manual clock."""

    def __init__(
        self,
        limits: Mapping[str, ProviderLimits] | None = None,
        keys: Mapping[str, KeyRing] | None = None,
    ) -> None:
        self.now = 1000.0
        self.board = RouteBoard(BreakerSettings(), limits or {}, keys or {}, lambda: self.now)

    def enter(self, route: Route) -> Permit:
        permit = self.board.enter(route)
        assert isinstance(permit, Permit), permit
        return permit

    def fail(self, route: Route, times: int = 5) -> None:
        for _ in range(times):
            self.enter(route).failed(self.now, None)

    def order(self, *routes: Route) -> list[Route]:
        choice = self.board.choose([planned(route) for route in routes], TEXT)
        return [chosen.route for chosen in choice.open]

    def skipped(self, *routes: Route) -> tuple[Skipped, ...]:
        return self.board.choose([planned(route) for route in routes], TEXT).skipped

    @property
    def known(self) -> set[Route]:
        return {status.route for status in self.board.statuses()}


def planned(route: Route, **declared: bool | int) -> PlannedRoute:
    return PlannedRoute(route, Timeouts(), Capabilities(**declared))  # type: ignore[arg-type]


def test_choose_keeps_all_routes_in_planned_order() -> None:
    routes = [planned(A), planned(B, prefill=True), planned(C)]
    choice = BoardHarness().board.choose(routes, TEXT)
    assert choice.open == tuple(routes)
    assert choice.skipped == ()


def test_choose_records_nothing() -> None:
    harness = BoardHarness()
    harness.order(A, B)
    assert harness.known == set()
    assert harness.board.status(A).provider.usage == RateUsage(0, 0)


def test_route_without_required_capability_is_skipped_without_retry_time() -> None:
    routes = [planned(A, images=False), planned(B), planned(C, context_window=5)]
    choice = BoardHarness().board.choose(routes, Requirements(images=True, context_tokens=10))
    assert [chosen.route for chosen in choice.open] == [B]
    assert choice.skipped == (Skipped(A, "no_images", None), Skipped(C, "context_window", None))


def test_open_breaker_is_skipped_until_cooldown_is_over() -> None:
    harness = BoardHarness()
    harness.fail(A)
    assert harness.skipped(A, B) == (Skipped(A, "breaker_open", 1),)
    assert harness.order(A, B) == [B]
    harness.now += 4.9
    assert harness.order(A, B) == [B]
    harness.now += 0.1
    assert harness.order(A, B) == [A, B]


def test_route_is_skipped_while_a_probe_is_in_flight() -> None:
    harness = BoardHarness()
    harness.fail(A)
    harness.now += 5
    probe = harness.enter(A)
    assert harness.skipped(A, B) == (Skipped(A, "breaker_open", 1),)
    assert harness.board.enter(A) == Skipped(A, "breaker_open", 1)
    probe.succeeded(harness.now)
    assert harness.order(A) == [A]


def test_enter_rechecks_the_breaker() -> None:
    harness = BoardHarness()
    assert harness.order(A) == [A]
    harness.fail(A)
    assert harness.board.enter(A) == Skipped(A, "breaker_open", 1)


def last_resort(harness: BoardHarness, *routes: Route) -> Route | None:
    """Choose and enter the last resort, if there is one, and return its route."""
    choice = harness.board.choose([planned(route) for route in routes], TEXT)
    if not choice.open:
        assert choice.retry_in_s is not None
        return None
    assert choice.last_resort
    (only,) = choice.open
    assert isinstance(harness.board.enter(only.route, last_resort=True), Permit)
    return only.route


def test_sole_route_is_probed_every_second_while_its_breaker_is_open() -> None:
    harness = BoardHarness()
    harness.fail(A)
    found = []
    for _ in range(40):
        found.append(last_resort(harness, A))
        harness.now += 0.25
    assert found == [None] * 4 + [A, None, None, None] * 9


def test_route_that_is_due_first_is_the_last_resort() -> None:
    harness = BoardHarness()
    harness.fail(B)
    harness.now += 1
    harness.fail(A)
    harness.now += 1
    assert [last_resort(harness, A, B) for _ in range(3)] == [B, A, None]


def test_there_is_no_last_resort_while_another_route_can_be_called() -> None:
    harness = BoardHarness()
    harness.fail(A)
    harness.now += 2
    choice = harness.board.choose([planned(A), planned(B)], TEXT)
    assert ([one.route for one in choice.open], choice.last_resort) == ([B], False)
    images = Requirements(images=True)
    choice = harness.board.choose([planned(A), planned(B, images=False)], images)
    assert ([one.route for one in choice.open], choice.last_resort) == ([A], True)
    assert choice.skipped == (Skipped(B, "no_images"),)


def test_last_resort_is_neither_opened_by_an_operator_nor_without_key() -> None:
    ring = KeyRing(["k"])
    harness = BoardHarness(keys={"a": ring})
    harness.fail(A)
    harness.board.open(B)
    harness.now += 2
    ring.refused("k", harness.now)
    choice = harness.board.choose([planned(A), planned(B)], TEXT)
    assert choice.open == ()
    assert choice.retry_in_s == REST_S


def test_breakers_are_per_route_not_per_provider() -> None:
    harness = BoardHarness()
    harness.fail(A)
    assert harness.order(Route("a", "another")) == [Route("a", "another")]


def test_route_opened_by_operator_is_skipped_until_reset() -> None:
    harness = BoardHarness()
    harness.board.open(A)
    harness.now += 1e9
    assert harness.skipped(A) == (Skipped(A, "operator", None),)
    assert harness.board.enter(A) == Skipped(A, "operator", None)
    harness.board.reset(A)
    assert harness.order(A) == [A]


def test_all_routes_of_a_provider_are_skipped_when_its_keys_are_refused() -> None:
    ring = KeyRing(["k1", "k2"])
    harness = BoardHarness(keys={"a": ring})
    other = Route("a", "another")
    ring.refused("k1", harness.now)
    assert harness.order(A, other, B) == [A, other, B]
    ring.refused("k2", harness.now)
    wait = REST_S
    assert harness.skipped(A, other, B) == (
        Skipped(A, "credit", wait),
        Skipped(other, "credit", wait),
    )
    assert harness.board.enter(A) == Skipped(A, "credit", wait)
    for route in (A, other):
        breaker = harness.board.status(route).breaker
        assert (breaker.state, breaker.reason, breaker.retry_in_s) == ("open", "credit", wait)
    harness.board.reset(other)
    assert harness.board.status(A).breaker.state == "closed"
    assert harness.order(A, other) == [A, other]


def test_provider_without_any_key_is_skipped() -> None:
    harness = BoardHarness(keys={"a": KeyRing(())})
    assert harness.skipped(A, B) == (Skipped(A, "no_key", None),)
    harness.board.reset(A)
    assert harness.skipped(A) == (Skipped(A, "no_key", None),)


def test_longer_lasting_skip_reason_is_reported() -> None:
    ring = KeyRing(["k"])
    harness = BoardHarness(keys={"a": ring})
    harness.fail(A)
    ring.refused("k", harness.now)
    assert harness.skipped(A) == (Skipped(A, "credit", REST_S),)
    harness.board.open(A)
    assert harness.skipped(A) == (Skipped(A, "operator", None),)


def test_hot_providers_are_tried_last() -> None:
    harness = BoardHarness({name: ProviderLimits(requests_per_minute=10) for name in "ac"})
    also_a = Route("a", "another")
    for _ in range(9):
        harness.enter(A).release()
    assert harness.order(A, B, also_a, C) == [B, C, A, also_a]
    for _ in range(9):
        harness.enter(C).release()
    assert harness.order(A, B, also_a, C) == [B, A, also_a, C]
    harness.now += 60
    assert harness.order(A, B, also_a, C) == [A, B, also_a, C]


def test_provider_near_token_limit_is_hot() -> None:
    harness = BoardHarness({"a": ProviderLimits(tokens_per_minute=1000)})
    harness.board.note_tokens(A, 899)
    assert harness.order(A, B) == [A, B]
    harness.board.note_tokens(A, 1)
    assert harness.order(A, B) == [B, A]


def test_retry_in_s_is_the_earliest_of_several_routes() -> None:
    harness = BoardHarness()
    assert harness.board.retry_in_s([]) is None
    assert harness.board.retry_in_s([planned(A), planned(B)]) is None, "neither is skipped"
    harness.board.open(A)
    assert harness.board.retry_in_s([planned(A)]) is None, "waiting does not help"
    harness.fail(B)
    harness.now += 0.25
    harness.fail(C)
    harness.now += 0.25
    assert harness.board.retry_in_s([planned(A), planned(C)]) == 0.75
    assert harness.board.retry_in_s([planned(A), planned(B), planned(C)]) == 0.5


def test_declared_prefill_is_used_until_refused() -> None:
    board, willing = BoardHarness().board, planned(A, prefill=True)
    assert board.takes_prefill(willing)
    assert not board.takes_prefill(planned(B))
    board.prefill_refused(A)
    assert not board.takes_prefill(willing)
    assert board.takes_prefill(planned(B, prefill=True))
    assert board.status(A).prefill_refused
    board.reset(A)
    assert board.takes_prefill(willing)


def test_status_combines_breaker_provider_and_keys() -> None:
    ring = KeyRing(["k1", "k2"])
    harness = BoardHarness({"a": ProviderLimits(requests_per_minute=5)}, {"a": ring})
    harness.fail(A)
    harness.board.note_tokens(A, 42)
    ring.refused("k1", harness.now)
    status = harness.board.status(A)
    assert (status.route, status.breaker.state, status.breaker.retry_in_s) == (A, "open", 5)
    assert status.provider.usage == RateUsage(5, 42)
    assert status.provider.hot
    assert status.provider.keys == KeyCounts(usable=1, refused=1)
    assert harness.board.statuses() == (status,)


def test_statuses_include_requested_and_known_routes() -> None:
    harness = BoardHarness()
    harness.fail(C)
    harness.fail(A, 1)
    found = harness.board.statuses([A, B])
    assert [(s.route, s.breaker.failures) for s in found] == [(A, 1), (B, 0), (C, 5)]
    assert [s.provider.keys for s in found] == [None] * 3
    assert harness.board.status(B) == found[1]


async def test_slots_are_per_provider(autojump_clock: MockClock) -> None:
    board = RouteBoard(
        BreakerSettings(),
        {"a": ProviderLimits(concurrent=1, wait_s=2)},
        {},
        trio.current_time,
    )
    await board.gate(A).acquire()
    assert board.status(Route("a", "another")).provider.in_flight == 1

    async def find_busy() -> None:
        with pytest.raises(ProviderBusy):
            await board.gate(Route("a", "another")).acquire()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(find_busy)
    assert trio.current_time() == 2
    await board.gate(B).acquire()
    board.gate(A).release()
    assert board.status(A).provider.in_flight == 0


def named(number: int) -> Route:
    return Route("a", f"model-{number}")


def test_routes_named_by_clients_are_dropped_beyond_the_limit() -> None:
    harness = BoardHarness()
    for number in range(10 * ROUTES_KEPT):
        harness.enter(named(number)).release()
    assert ROUTES_KEPT <= len(harness.known) <= ROUTES_KEPT + 100
    assert named(10 * ROUTES_KEPT - 1) in harness.known
    assert named(0) not in harness.known


def test_routes_with_state_are_kept_before_idle_ones() -> None:
    harness = BoardHarness()
    harness.fail(A)
    harness.fail(B, 1)
    harness.board.prefill_refused(C)
    for number in range(2 * ROUTES_KEPT):
        harness.enter(named(number)).release()
    assert {A, B, C} <= harness.known
    harness.now += 1000
    for number in range(2 * ROUTES_KEPT):
        harness.enter(named(number)).release()
    assert harness.known & {A, B, C} == {A, C}, "B's failure has left the window"


def test_recently_used_route_is_not_dropped() -> None:
    harness = BoardHarness()
    permit = harness.enter(A)
    for number in range(2 * ROUTES_KEPT):
        harness.enter(named(number)).release()
        harness.enter(A).release()
    permit.failed(harness.now, None)
    assert harness.board.status(A).breaker.failures == 1


def test_failing_routes_are_dropped_beyond_the_limit() -> None:
    harness = BoardHarness()
    harness.board.open(B)
    for number in range(2 * ROUTES_KEPT):
        harness.fail(named(number))
    assert len(harness.known) <= ROUTES_KEPT + 100
    assert harness.skipped(B) == (Skipped(B, "operator", None),), "not dropped"
    assert harness.skipped(named(0)) == ()
    last = named(2 * ROUTES_KEPT - 1)
    assert harness.skipped(last) == (Skipped(last, "breaker_open", 1),)


def test_configured_routes_are_never_dropped() -> None:
    configured = [Route("a", f"mine-{number}") for number in range(5)]
    board = RouteBoard(BreakerSettings(minimum_requests=1), {}, {}, lambda: 0.0, configured)
    for route in [*configured, *map(named, range(3 * ROUTES_KEPT))]:
        permit = board.enter(route)
        assert not isinstance(permit, Skipped)
        permit.failed(0.0, None)
    kept = board.statuses()
    assert len(kept) <= ROUTES_KEPT + 100
    assert [status.route for status in kept[:5]] == configured
    assert {status.breaker.state for status in kept} == {"open"}


def test_operator_can_open_more_routes_than_the_limit() -> None:
    harness = BoardHarness()
    count = ROUTES_KEPT + 250
    for number in range(count):
        harness.board.open(named(number))
    assert {harness.skipped(named(n))[0].reason for n in range(count)} == {"operator"}


def test_result_of_attempt_started_before_reset_is_ignored() -> None:
    harness = BoardHarness()
    permits = [harness.enter(A) for _ in range(3)]
    harness.board.reset(A)
    for permit in permits:
        permit.failed(harness.now, None)
    assert harness.order(A) == [A]
    assert harness.board.status(A).breaker.failures == 0
