"""Breakers under load in virtual time: the share of refused clients, outages, and bad prompts."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import trio
from msgspec import structs
from trio.testing import MockClock

from actors.attempts.attempt import Item
from actors.ports import AnswerStream, ignore
from actors.providers.http.credentials import Credentials
from actors.routing.breaker import BreakerSettings
from actors.routing.key_ring import REST_S, KeyRing
from actors.routing.route_board import RouteBoard
from actors.runtime.batch_channel import BatchChannel
from actors.streamer import Streamer, Upstreams
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from actors.turn.state import Turn
from actors.usage.estimator import LearningEstimator
from tests.support.sizes import FULL
from tests.support.turn_fakes import ScriptedAnswer, a_request, now, stop, text

K = FailureKind
SECONDS = 300 if FULL else 30
"""Duration of a load."""
OFF = BreakerSettings(minimum_requests=10**9)
LATENCY_S = 0.05
POISON = "poison"


class FaultyProvider:
    """A provider that fails a share of its calls, those with a bad prompt, and all in an outage."""

    def __init__(
        self,
        name: str = "main",
        *,
        share: float = 0.0,
        kind: str = "503",
        keys: str = "",
        content_s: float = 0.0,
    ) -> None:
        self.name = name
        self.ring = KeyRing(keys) if keys else None
        self.credentials = Credentials(keys, self.ring)
        self.share = share
        self.kind = kind
        self.content_s = content_s
        """Seconds to the content of an answer, after which no error comes."""
        self.down = False
        self.refusals: list[UpstreamFailure] = []
        """Failures of the next calls."""
        self.asked_at: list[float] = []
        self._random = random.Random(name)

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        return ()

    async def open(
        self, call: ModelCall, *, connect_s: float, alive: Callable[[], None] = ignore
    ) -> AnswerStream:
        key = self.credentials.take()
        self.asked_at.append(trio.current_time())
        await trio.sleep(LATENCY_S)
        if self.refusals:
            raise self.credentials.record_failure(key, self.refusals.pop())
        if self.down and self.kind == "silent":
            await trio.sleep_forever()
        if call.parameters["seed"] == POISON:
            raise UpstreamFailure(K.SERVER_ERROR, "crashed", status=500)
        if self.down or self._random.random() < self.share:
            kind = K.REJECTED if self.kind == "401" else K.SERVER_ERROR
            failure = UpstreamFailure(kind, "down", status=int(self.kind))
            raise self.credentials.record_failure(key, failure)
        await trio.sleep(self.content_s)
        self.credentials.record_success(key)
        return ScriptedAnswer([text("a"), stop()])


class Load:
    """Clients of one model with a route to each provider. Each sends a call of its own."""

    def __init__(self, *providers: FaultyProvider, settings: BreakerSettings | None = None) -> None:
        named = {provider.name: provider for provider in providers}
        keys = {name: one.ring for name, one in named.items() if one.ring is not None}
        board = RouteBoard(settings or BreakerSettings(), {}, keys, trio.current_time)
        jitter = random.Random(0).random
        self._upstreams = Upstreams(named, board, LearningEstimator(), now, jitter)
        request = a_request(*named)
        timeouts = structs.replace(request.routes[0].timeouts, first_byte_s=10.0)
        routes = tuple(structs.replace(route, timeouts=timeouts) for route in request.routes)
        self.request = structs.replace(request, routes=routes)
        self.sent = 0
        self.failed_at: list[float] = []
        """Times of the requests that were not answered."""
        self.statuses: Counter[int] = Counter()

    async def ask(self, seed: object = None) -> bool:
        """Send one request and return True if it is answered."""
        self.sent += 1
        asked_at = trio.current_time()
        parameters = {"seed": self.sent if seed is None else seed}
        call = structs.replace(self.request.call, parameters=parameters)
        turn = Turn("turn_1", structs.replace(self.request, call=call), "owner_1", now())
        link: BatchChannel[Item] = BatchChannel(1000)
        step = turn.begin_step(call)
        await Streamer(turn, step, self._upstreams).run(link.sender)
        if turn.cause is None:
            return True
        assert turn.cause.error is not None
        self.statuses[turn.cause.error.status] += 1
        if turn.cause.error.code == "no_route_available":
            assert turn.cause.error.retry_after_s is not None
            assert turn.cause.error.retry_after_s <= REST_S
        self.failed_at.append(asked_at)
        return False

    async def run(self, rate: float, seconds: float) -> None:
        """Send `rate` requests a second, and wait until all have ended."""
        async with trio.open_nursery() as nursery:
            for _ in range(int(rate * seconds)):
                nursery.start_soon(self.ask)
                await trio.sleep(1 / rate)


async def failures(
    share: float,
    rate: float,
    routes: int,
    kind: str,
    settings: BreakerSettings,
    content_s: float = 0.0,
) -> int:
    providers = [
        FaultyProvider(f"p{n}", share=share, kind=kind, content_s=content_s) for n in range(routes)
    ]
    load = Load(*providers, settings=settings)
    await load.run(rate, SECONDS)
    assert load.sent == rate * SECONDS
    return len(load.failed_at)


@pytest.mark.parametrize(
    ("share", "rate", "routes", "kind"),
    [
        (0.005, 50, 1, "503"),
        (0.01, 50, 1, "503"),
        (0.01, 5, 1, "503"),
        (0.01, 50, 2, "503"),
        (0.05, 50, 1, "504"),
        (0.2, 5, 1, "503"),
        (0.3, 50, 1, "503"),
        (0.3, 50, 1, "504"),
        (0.3, 50, 2, "504"),
    ],
)
async def test_breaker_refuses_hardly_more_than_the_provider(
    autojump_clock: MockClock, share: float, rate: float, routes: int, kind: str
) -> None:
    """A 503 is repeated on the same route, a 504 is not."""
    without = await failures(share, rate, routes, kind, OFF)
    assert await failures(share, rate, routes, kind, BreakerSettings()) <= 1.2 * without


@pytest.mark.parametrize(("share", "kind"), [(0.05, "504"), (0.2, "503")])
async def test_errors_that_come_sooner_than_answers_do_not_open_the_breaker(
    autojump_clock: MockClock, share: float, kind: str
) -> None:
    without = await failures(share, 50, 1, kind, OFF, content_s=8)
    assert await failures(share, 50, 1, kind, BreakerSettings(), content_s=8) <= 1.2 * without


@pytest.mark.parametrize("kind", ["503", "silent"])
async def test_provider_that_is_down_is_probed_each_second_and_used_when_it_is_back(
    autojump_clock: MockClock, kind: str
) -> None:
    provider = FaultyProvider(kind=kind)
    load = Load(provider)
    detected_s = 12 if kind == "silent" else 2
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run, 50, 100)
        await trio.sleep(20.01)
        assert not load.failed_at
        provider.down = True
        await trio.sleep(60)
        provider.down = False
    probes = [at for at in provider.asked_at if 20 + detected_s < at < 80]
    assert len(probes) >= 60 - detected_s - 3
    assert min(later - earlier for earlier, later in pairwise(probes)) >= 1
    assert max(load.failed_at) <= 82
    assert set(load.statuses) <= {503, 504}


async def test_one_bad_prompt_costs_other_clients_nothing(autojump_clock: MockClock) -> None:
    load = Load(FaultyProvider())
    for repeats in (2, 200):
        assert not any([await load.ask(POISON) for _ in range(repeats)])
        assert all([await load.ask() for _ in range(36)])
    for _ in range(36):
        assert not await load.ask(POISON)
        assert await load.ask()


async def test_bad_prompt_does_not_keep_an_open_route_closed_to_others(
    autojump_clock: MockClock,
) -> None:
    provider = FaultyProvider()
    load = Load(provider)
    provider.down = True
    await load.ask(POISON)
    await load.run(10, 2)
    provider.down = False
    await trio.sleep(1)
    assert not await load.ask(POISON)
    await trio.sleep(1)
    assert all([await load.ask() for _ in range(36)])


async def test_firewall_page_for_one_prompt_leaves_the_route_open(
    autojump_clock: MockClock,
) -> None:
    provider = FaultyProvider()
    provider.refusals = [UpstreamFailure(K.REJECTED, "blocked", status=403)]
    load = Load(provider)
    answered: Sequence[bool] = [await load.ask() for _ in range(37)]
    assert answered == [False] + [True] * 36
    assert load.statuses == {403: 1}


async def test_key_that_is_refused_at_times_rests_for_seconds_each_time(
    autojump_clock: MockClock,
) -> None:
    """`Load.ask` checks the longest rest."""
    load = Load(FaultyProvider(share=0.05, kind="401", keys="a"))
    await load.run(50, SECONDS)
    assert set(load.statuses) == {502, 503}


@pytest.mark.parametrize("keys", ["a", "ab"])
async def test_one_refusal_of_a_key_rests_it_for_seconds(
    autojump_clock: MockClock, keys: str
) -> None:
    provider = FaultyProvider(keys=keys)
    provider.refusals = [UpstreamFailure(K.REJECTED, "bad key", status=401)]
    load = Load(provider)
    await load.run(10, 10)
    assert max(load.failed_at, default=0.0) < REST_S + 2 * LATENCY_S
    assert (load.failed_at == []) is (len(keys) > 1)
