"""How the server stops: in order, in time, and at once when asked twice."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from actors.outcome import Reason
from tests.actors.fakes import FOREVER, ScriptedProvider, stop, text
from tests.web.house import House, open_house
from web.config.sections import Server
from web.server import HttpServer
from web.stopping import LAST_FRAMES_S, SETTLE_S, Stop, drain

GRACE_S, DRAIN_S = 1.0, 30.0
CLOSED_AFTER_S = 4.0
"""How long clients keep their connections to a server that leaves."""


class Listener:
    """A server that notes when it was told what, and how many turns were live then."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.told: list[tuple[str, float, int]] = []

    def _note(self, what: str) -> None:
        self.told.append((what, trio.current_time(), len(self._house.registry)))

    def leave(self, idle_s: float) -> None:
        assert idle_s == SETTLE_S
        self._note("leave")

    async def wait_closed(self) -> None:
        await trio.sleep(CLOSED_AFTER_S)

    def stop_accepting(self) -> None:
        self._note("stop accepting")

    async def drain(self, seconds: float) -> None:
        assert seconds == LAST_FRAMES_S
        self._note("drain")

    def close_all(self) -> None:
        self._note("close")


class Scene:
    """A house with turns in it that is told to stop."""

    def __init__(self, house: House, nursery: trio.Nursery) -> None:
        self.house = house
        self.stop = Stop()
        self.listener = Listener(house)
        self._nursery = nursery

    def chat(self) -> None:
        async def chat() -> None:
            await self.house.chat(stream=True)

        self._nursery.start_soon(chat)

    async def drain(self) -> None:
        settings = Server(grace_s=GRACE_S, drain_s=DRAIN_S)
        server = cast("HttpServer", self.listener)
        await drain(self.stop, settings, self.house.registry, server)


@asynccontextmanager
async def a_scene(silence: float = FOREVER) -> AsyncIterator[Scene]:
    main = ScriptedProvider(text("a"), silence, stop())
    async with open_house(main, timeouts={"idle_s": 500}) as house, trio.open_nursery() as nursery:
        yield Scene(house, nursery)


async def test_an_idle_server_stops_after_its_grace(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        await scene.drain()
        assert scene.listener.told == [
            ("stop accepting", GRACE_S, 0),
            ("drain", GRACE_S, 0),
            ("close", GRACE_S, 0),
        ]


async def test_new_turns_are_refused_at_once(autojump_clock: MockClock) -> None:
    async with a_scene() as scene, trio.open_nursery() as nursery:
        nursery.start_soon(scene.drain)
        await trio.sleep(GRACE_S / 2)
        assert (await scene.house.chat()).status_code == 503
        assert scene.listener.told == []


async def test_turns_that_end_in_time_end_by_themselves(autojump_clock: MockClock) -> None:
    async with a_scene(silence=10.0) as scene:
        scene.chat()
        await trio.sleep(1)
        await scene.drain()
        assert scene.house.theatre.record.reason == Reason.STOP.value
        assert scene.listener.told == [
            ("stop accepting", 2, 1),
            ("drain", 10, 0),
            ("close", 10, 0),
        ]


async def test_the_rest_is_ended_and_recorded(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        for _ in range(3):
            scene.chat()
        await trio.sleep(1)
        scene.house.store.takes_s = 2.0
        await scene.drain()
        ended_at = 1 + GRACE_S + DRAIN_S
        assert [r.reason for r in scene.house.store.finals] == [Reason.SERVER_SHUTDOWN.value] * 3
        assert scene.listener.told[1:] == [("drain", ended_at + 2, 0), ("close", ended_at + 2, 0)]


@pytest.mark.parametrize("at", [0.0, 0.5, 10.0])
async def test_asked_twice_it_skips_the_waiting_but_not_the_records(
    autojump_clock: MockClock, at: float
) -> None:
    async with a_scene() as scene:
        scene.chat()
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.drain)
            await trio.sleep(at)
            scene.stop.hurried.set()
        assert scene.house.theatre.record.reason == Reason.SERVER_SHUTDOWN.value
        assert scene.listener.told[-1] == ("close", 1 + at, 0)


async def test_who_hurried_before_waits_for_nothing(autojump_clock: MockClock) -> None:
    stopping = Stop()
    stopping.hurried.set()
    await stopping.wait_or_hurry(trio.sleep_forever, 1000)
    assert trio.current_time() == 0


async def test_waiting_ends_with_what_is_waited_for(autojump_clock: MockClock) -> None:
    async def wait() -> None:
        await trio.sleep(3)

    await Stop().wait_or_hurry(wait, 1000)
    assert trio.current_time() == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_asks_and_the_second_hurries(
    nursery: trio.Nursery, number: signal.Signals
) -> None:
    stopping = Stop()
    await nursery.start(stopping.watch_signals)
    signal.raise_signal(number)
    await stopping.asked.wait()
    assert not stopping.hurried.is_set()
    signal.raise_signal(number)
    await stopping.hurried.wait()
    nursery.cancel_scope.cancel()


async def test_who_hands_over_refuses_nothing(autojump_clock: MockClock) -> None:
    async with a_scene(silence=1.0) as scene, trio.open_nursery() as nursery:
        scene.stop.hand_over()
        nursery.start_soon(scene.drain)
        await trio.sleep(3)
        assert (await scene.house.chat()).status_code == 200
        assert scene.listener.told == [("leave", 0, 0)]


async def test_who_hands_over_goes_when_connections_and_turns_are_gone(
    autojump_clock: MockClock,
) -> None:
    async with a_scene(silence=20.0) as scene:
        scene.chat()
        await trio.sleep(1)
        scene.stop.hand_over()
        await scene.drain()
        assert scene.house.theatre.record.reason == Reason.STOP.value
        assert scene.listener.told[1:] == [("drain", 20, 0), ("close", 20, 0)]


async def test_handing_over_has_an_end(autojump_clock: MockClock) -> None:
    async with a_scene() as scene:
        scene.chat()
        await trio.sleep(1)
        scene.stop.hand_over()
        await scene.drain()
        assert scene.house.theatre.record.reason == Reason.SERVER_SHUTDOWN.value
        assert trio.current_time() == 1 + DRAIN_S


async def test_a_signal_after_an_order_does_not_hurry(nursery: trio.Nursery) -> None:
    """systemd may signal all processes of a service, supervised ones too."""
    stopping = Stop()
    await nursery.start(stopping.watch_signals)
    stopping.hand_over()
    signal.raise_signal(signal.SIGTERM)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert not stopping.hurried.is_set()
    nursery.cancel_scope.cancel()
