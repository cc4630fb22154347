"""Server shutdown: in order, within its time limits, and at once after a second signal."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from actors.turn.outcome import Reason
from tests.support.edge_harness import EdgeHarness, open_harness
from tests.support.turn_fakes import FOREVER, ScriptedProvider, stop, text
from web.config.sections import Server
from web.process.shutdown import LAST_FRAMES_S, SETTLE_S, Stop, drain
from web.server import HttpServer

GRACE_S, DRAIN_S = 1.0, 30.0
CLOSED_AFTER_S = 4.0
"""Seconds for which clients keep their connections to a server that hands over."""


class RecordingServer:
    """A server that records each call with its time and the number of live turns."""

    def __init__(self, harness: EdgeHarness) -> None:
        self._harness = harness
        self.calls: list[tuple[str, float, int]] = []

    def _record(self, what: str) -> None:
        self.calls.append((what, trio.current_time(), len(self._harness.registry)))

    def leave(self, idle_s: float) -> None:
        assert idle_s == SETTLE_S
        self._record("leave")

    async def wait_closed(self) -> None:
        await trio.sleep(CLOSED_AFTER_S)

    def stop_accepting(self) -> None:
        self._record("stop accepting")

    async def drain(self, seconds: float) -> None:
        assert seconds == LAST_FRAMES_S
        self._record("drain")

    def close_all(self) -> None:
        self._record("close")


class Shutdown:
    """An application with live turns that is shut down."""

    def __init__(self, harness: EdgeHarness, nursery: trio.Nursery) -> None:
        self.harness = harness
        self.stop = Stop()
        self.server = RecordingServer(harness)
        self._nursery = nursery

    def chat(self) -> None:
        async def chat() -> None:
            await self.harness.chat(stream=True)

        self._nursery.start_soon(chat)

    async def drain(self) -> None:
        settings = Server(grace_s=GRACE_S, drain_s=DRAIN_S)
        server = cast("HttpServer", self.server)
        await drain(self.stop, settings, self.harness.registry, server)


@asynccontextmanager
async def open_shutdown(silence: float = FOREVER) -> AsyncIterator[Shutdown]:
    main = ScriptedProvider(text("a"), silence, stop())
    async with (
        open_harness(main, timeouts={"idle_s": 500}) as harness,
        trio.open_nursery() as nursery,
    ):
        yield Shutdown(harness, nursery)


async def test_idle_server_stops_after_the_grace_time(autojump_clock: MockClock) -> None:
    async with open_shutdown() as shutdown:
        await shutdown.drain()
        assert shutdown.server.calls == [
            ("stop accepting", GRACE_S, 0),
            ("drain", GRACE_S, 0),
            ("close", GRACE_S, 0),
        ]


async def test_new_turns_are_refused_at_once(autojump_clock: MockClock) -> None:
    async with open_shutdown() as shutdown, trio.open_nursery() as nursery:
        nursery.start_soon(shutdown.drain)
        await trio.sleep(GRACE_S / 2)
        assert (await shutdown.harness.chat()).status_code == 503
        assert shutdown.server.calls == []


async def test_turns_may_end_within_the_drain_time(autojump_clock: MockClock) -> None:
    async with open_shutdown(silence=10.0) as shutdown:
        shutdown.chat()
        await trio.sleep(1)
        await shutdown.drain()
        assert shutdown.harness.turns.record.reason == Reason.STOP.value
        assert shutdown.server.calls == [
            ("stop accepting", 2, 1),
            ("drain", 10, 0),
            ("close", 10, 0),
        ]


async def test_remaining_turns_are_ended_and_recorded(autojump_clock: MockClock) -> None:
    async with open_shutdown() as shutdown:
        for _ in range(3):
            shutdown.chat()
        await trio.sleep(1)
        shutdown.harness.store.takes_s = 2.0
        await shutdown.drain()
        ended_at = 1 + GRACE_S + DRAIN_S
        assert [r.reason for r in shutdown.harness.store.finals] == [
            Reason.SERVER_SHUTDOWN.value
        ] * 3
        assert shutdown.server.calls[1:] == [("drain", ended_at + 2, 0), ("close", ended_at + 2, 0)]


@pytest.mark.parametrize("at", [0.0, 0.5, 10.0])
async def test_second_signal_skips_the_waiting_but_not_the_records(
    autojump_clock: MockClock, at: float
) -> None:
    async with open_shutdown() as shutdown:
        shutdown.chat()
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shutdown.drain)
            await trio.sleep(at)
            shutdown.stop.hurried.set()
        assert shutdown.harness.turns.record.reason == Reason.SERVER_SHUTDOWN.value
        assert shutdown.server.calls[-1] == ("close", 1 + at, 0)


async def test_wait_returns_at_once_when_hurried_before(autojump_clock: MockClock) -> None:
    stopping = Stop()
    stopping.hurried.set()
    await stopping.wait_or_hurry(trio.sleep_forever, 1000)
    assert trio.current_time() == 0


async def test_wait_ends_with_its_task(autojump_clock: MockClock) -> None:
    async def wait() -> None:
        await trio.sleep(3)

    await Stop().wait_or_hurry(wait, 1000)
    assert trio.current_time() == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_first_signal_drains_and_second_hurries(
    nursery: trio.Nursery, number: signal.Signals
) -> None:
    stopping = Stop()
    await nursery.start(stopping.watch_signals)
    signal.raise_signal(number)
    await stopping.requested.wait()
    assert not stopping.hurried.is_set()
    signal.raise_signal(number)
    await stopping.hurried.wait()
    nursery.cancel_scope.cancel()


async def test_turns_are_accepted_during_a_handover(autojump_clock: MockClock) -> None:
    async with open_shutdown(silence=1.0) as shutdown, trio.open_nursery() as nursery:
        shutdown.stop.hand_over()
        nursery.start_soon(shutdown.drain)
        await trio.sleep(3)
        assert (await shutdown.harness.chat()).status_code == 200
        assert shutdown.server.calls == [("leave", 0, 0)]


async def test_handover_ends_when_connections_and_turns_have_ended(
    autojump_clock: MockClock,
) -> None:
    async with open_shutdown(silence=20.0) as shutdown:
        shutdown.chat()
        await trio.sleep(1)
        shutdown.stop.hand_over()
        await shutdown.drain()
        assert shutdown.harness.turns.record.reason == Reason.STOP.value
        assert shutdown.server.calls[1:] == [("drain", 20, 0), ("close", 20, 0)]


async def test_handover_is_limited_by_the_drain_time(autojump_clock: MockClock) -> None:
    async with open_shutdown() as shutdown:
        shutdown.chat()
        await trio.sleep(1)
        shutdown.stop.hand_over()
        await shutdown.drain()
        assert shutdown.harness.turns.record.reason == Reason.SERVER_SHUTDOWN.value
        assert trio.current_time() == 1 + DRAIN_S


async def test_signal_after_a_handover_order_does_not_hurry(nursery: trio.Nursery) -> None:
    """systemd may signal all processes of a service, including supervised ones."""
    stopping = Stop()
    await nursery.start(stopping.watch_signals)
    stopping.hand_over()
    signal.raise_signal(signal.SIGTERM)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert not stopping.hurried.is_set()
    nursery.cancel_scope.cancel()
