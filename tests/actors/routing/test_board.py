"""The board: which routes may be asked now, in which order, and why the others not."""

from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock

from actors.providers.base import Capabilities, Route
from actors.routing.allowance import ProviderLimits
from actors.routing.board import ROUTES_KEPT, RouteBoard, Skipped
from actors.routing.breaker import CREDIT_COOLDOWN_S, BreakerSettings, Permit
from actors.routing.capacity import CapacityUsage
from actors.routing.gate import ProviderBusy
from actors.routing.keys import KeyCounts, KeyRing
from actors.routing.needs import Needs
from actors.timeouts import Timeouts
from actors.turn import PlannedRoute

TEXT = Needs(context_tokens=10)
A, B, C = Route("a", "one"), Route("b", "two"), Route("c", "three")


class House:
    """A board, and the clock that it goes by."""

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

    def fail(self, route: Route, times: int = 3) -> None:
        for _ in range(times):
            self.enter(route).failed(self.now)

    def refuse(self, route: Route) -> None:
        self.enter(route).refused(self.now)

    def order(self, *routes: Route) -> list[Route]:
        choice = self.board.choose([planned(route) for route in routes], TEXT)
        return [chosen.route for chosen in choice.open]

    def skipped(self, *routes: Route) -> tuple[Skipped, ...]:
        return self.board.choose([planned(route) for route in routes], TEXT).skipped

    @property
    def seen(self) -> set[Route]:
        return {status.route for status in self.board.statuses()}


def planned(route: Route, **declared: bool | int) -> PlannedRoute:
    return PlannedRoute(route, Timeouts(), Capabilities(**declared))  # type: ignore[arg-type]


def test_all_routes_in_their_order_and_as_they_were_planned() -> None:
    routes = [planned(A), planned(B, prefill=True), planned(C)]
    choice = House().board.choose(routes, TEXT)
    assert choice.open == tuple(routes)
    assert choice.skipped == ()


def test_choosing_alone_leaves_no_trace() -> None:
    house = House()
    house.order(A, B)
    assert house.seen == set()
    assert house.board.status(A).provider.usage == CapacityUsage(0, 0)


def test_a_route_that_lacks_what_is_needed_is_skipped_for_good() -> None:
    routes = [planned(A, images=False), planned(B), planned(C, context_window=5)]
    choice = House().board.choose(routes, Needs(images=True, context_tokens=10))
    assert [chosen.route for chosen in choice.open] == [B]
    assert choice.skipped == (Skipped(A, "no_images", None), Skipped(C, "context_window", None))


def test_an_open_breaker_is_skipped_until_its_cooldown_is_over() -> None:
    house = House()
    house.fail(A)
    assert house.skipped(A, B) == (Skipped(A, "breaker_open", 60),)
    assert house.order(A, B) == [B]
    house.now += 60
    assert house.order(A, B) == [A, B]


def test_a_route_that_is_probed_is_skipped_for_everyone_else() -> None:
    house = House()
    house.fail(A)
    house.now += 60
    probe = house.enter(A)
    assert house.skipped(A) == (Skipped(A, "breaker_open", 0),)
    assert house.board.enter(A) == Skipped(A, "breaker_open", 0)
    probe.succeeded(house.now)
    assert house.order(A) == [A]


def test_entering_looks_again() -> None:
    house = House()
    assert house.order(A) == [A]
    house.fail(A)
    assert house.board.enter(A) == Skipped(A, "breaker_open", 60)


def test_breakers_are_by_route_not_by_provider() -> None:
    house = House()
    house.fail(A)
    assert house.order(Route("a", "another")) == [Route("a", "another")]


def test_a_refused_account_is_skipped_as_credit() -> None:
    house = House()
    house.refuse(A)
    assert house.skipped(A) == (Skipped(A, "credit", CREDIT_COOLDOWN_S),)


def test_what_an_operator_opened_is_skipped_until_a_reset() -> None:
    house = House()
    house.board.open(A)
    house.now += 1e9
    assert house.skipped(A) == (Skipped(A, "operator", None),)
    assert house.board.enter(A) == Skipped(A, "operator", None)
    house.board.reset(A)
    assert house.order(A) == [A]


def test_all_routes_of_a_provider_are_skipped_when_its_keys_are_refused() -> None:
    ring = KeyRing(["k1", "k2"])
    house = House(keys={"a": ring})
    other = Route("a", "another")
    ring.refused("k1", house.now)
    assert house.order(A, other, B) == [A, other, B]
    ring.refused("k2", house.now)
    wait = CREDIT_COOLDOWN_S
    assert house.skipped(A, other, B) == (
        Skipped(A, "credit", wait),
        Skipped(other, "credit", wait),
    )
    assert house.board.enter(A) == Skipped(A, "credit", wait)
    house.board.reset(other)
    assert house.order(A, other) == [A, other]


def test_a_provider_whose_keys_lead_to_nothing_is_skipped() -> None:
    house = House(keys={"a": KeyRing(())})
    assert house.skipped(A, B) == (Skipped(A, "no_key", None),)
    house.board.reset(A)
    assert house.skipped(A) == (Skipped(A, "no_key", None),)


def test_of_two_reasons_the_longer_one_is_told() -> None:
    ring = KeyRing(["k"])
    house = House(keys={"a": ring})
    house.fail(A)
    ring.refused("k", house.now)
    assert house.skipped(A) == (Skipped(A, "credit", CREDIT_COOLDOWN_S),)
    house.board.open(A)
    assert house.skipped(A) == (Skipped(A, "operator", None),)


def test_hot_providers_are_asked_last() -> None:
    house = House({name: ProviderLimits(requests_per_minute=10) for name in "ac"})
    also_a = Route("a", "another")
    for _ in range(9):
        house.enter(A).left()
    assert house.order(A, B, also_a, C) == [B, C, A, also_a]
    for _ in range(9):
        house.enter(C).left()
    assert house.order(A, B, also_a, C) == [B, A, also_a, C]
    house.now += 60
    assert house.order(A, B, also_a, C) == [A, B, also_a, C]


def test_tokens_make_hot_as_well() -> None:
    house = House({"a": ProviderLimits(tokens_per_minute=1000)})
    house.board.note_tokens(A, 899)
    assert house.order(A, B) == [A, B]
    house.board.note_tokens(A, 1)
    assert house.order(A, B) == [B, A]


def test_when_the_first_of_several_may_be_asked_again() -> None:
    house = House()
    assert house.board.retry_in_s([]) is None
    assert house.board.retry_in_s([A, B]) is None, "neither is held back"
    house.board.open(A)
    assert house.board.retry_in_s([A]) is None, "no time brings it back"
    house.refuse(B)
    house.now += 10
    house.fail(C)
    house.now += 5
    assert house.board.retry_in_s([A, B]) == CREDIT_COOLDOWN_S - 15
    assert house.board.retry_in_s([A, B, C]) == 55


def test_a_prefill_is_offered_where_it_is_declared_until_it_is_refused() -> None:
    board, willing = House().board, planned(A, prefill=True)
    assert board.takes_prefill(willing)
    assert not board.takes_prefill(planned(B))
    board.prefill_refused(A)
    assert not board.takes_prefill(willing)
    assert board.takes_prefill(planned(B, prefill=True))
    assert board.status(A).prefill_refused
    board.reset(A)
    assert board.takes_prefill(willing)


def test_a_status_has_all_that_is_known() -> None:
    ring = KeyRing(["k1", "k2"])
    house = House({"a": ProviderLimits(requests_per_minute=3)}, {"a": ring})
    house.fail(A)
    house.board.note_tokens(A, 42)
    ring.refused("k1", house.now)
    status = house.board.status(A)
    assert (status.route, status.breaker.state, status.breaker.retry_in_s) == (A, "open", 60)
    assert status.provider.usage == CapacityUsage(3, 42)
    assert status.provider.hot
    assert status.provider.keys == KeyCounts(usable=1, refused=1)
    assert house.board.statuses() == (status,)


def test_statuses_are_those_asked_for_and_those_seen() -> None:
    house = House()
    house.fail(C)
    house.fail(A, 1)
    found = house.board.statuses([A, B])
    assert [(s.route, s.breaker.failures) for s in found] == [(A, 1), (B, 0), (C, 3)]
    assert [s.provider.keys for s in found] == [None] * 3
    assert house.board.status(B) == found[1]


async def test_places_are_by_provider(autojump_clock: MockClock) -> None:
    board = RouteBoard(
        BreakerSettings(),
        {"a": ProviderLimits(concurrent=1, wait_s=2)},
        {},
        trio.current_time,
    )
    async with board.gate(A).place():
        assert board.status(Route("a", "another")).provider.in_flight == 1
        with pytest.raises(ProviderBusy):
            await board.gate(Route("a", "another")).acquire()
        assert trio.current_time() == 2
        await board.gate(B).acquire()
    assert board.status(A).provider.in_flight == 0


def named(number: int) -> Route:
    return Route("a", f"model-{number}")


def test_routes_that_clients_make_up_are_forgotten() -> None:
    house = House()
    for number in range(10 * ROUTES_KEPT):
        house.enter(named(number)).left()
    assert ROUTES_KEPT <= len(house.seen) <= ROUTES_KEPT + 100
    assert named(10 * ROUTES_KEPT - 1) in house.seen
    assert named(0) not in house.seen


def test_what_would_be_lost_is_kept_as_long_as_there_is_room() -> None:
    house = House()
    house.fail(A)
    house.fail(B, 1)
    house.board.prefill_refused(C)
    for number in range(2 * ROUTES_KEPT):
        house.enter(named(number)).left()
    assert {A, B, C} <= house.seen
    house.now += 1000
    for number in range(2 * ROUTES_KEPT):
        house.enter(named(number)).left()
    assert house.seen & {A, B, C} == {A, C}, "a failure long ago is nothing to keep"


def test_routes_that_are_used_are_not_forgotten_for_others() -> None:
    house = House()
    permit = house.enter(A)
    for number in range(2 * ROUTES_KEPT):
        house.enter(named(number)).left()
        house.enter(A).left()
    permit.failed(house.now)
    assert house.board.status(A).breaker.failures == 1


def test_not_even_failing_routes_take_more_room_than_there_is() -> None:
    house = House()
    house.board.open(B)
    for number in range(2 * ROUTES_KEPT):
        house.fail(named(number))
    assert len(house.seen) <= ROUTES_KEPT + 100
    assert house.skipped(B) == (Skipped(B, "operator", None),), "an operator's word is kept"
    assert house.skipped(named(0)) == ()
    last = named(2 * ROUTES_KEPT - 1)
    assert house.skipped(last) == (Skipped(last, "breaker_open", 60),)


def test_routes_that_clients_make_up_drive_no_configured_one_out() -> None:
    configured = [Route("a", f"mine-{number}") for number in range(5)]
    board = RouteBoard(BreakerSettings(failures=1), {}, {}, lambda: 0.0, configured)
    for route in [*configured, *map(named, range(3 * ROUTES_KEPT))]:
        permit = board.enter(route)
        assert not isinstance(permit, Skipped)
        permit.failed(0.0)
    kept = board.statuses()
    assert len(kept) <= ROUTES_KEPT + 100
    assert [status.route for status in kept[:5]] == configured
    assert {status.breaker.state for status in kept} == {"open"}


def test_more_than_the_usual_number_can_be_opened_by_hand() -> None:
    house = House()
    count = ROUTES_KEPT + 250
    for number in range(count):
        house.board.open(named(number))
    assert {house.skipped(named(n))[0].reason for n in range(count)} == {"operator"}


def test_an_attempt_that_was_under_way_at_a_reset_is_not_heard() -> None:
    house = House()
    permits = [house.enter(A) for _ in range(3)]
    house.board.reset(A)
    for permit in permits:
        permit.failed(house.now)
    assert house.order(A) == [A]
    assert house.board.status(A).breaker.failures == 0
