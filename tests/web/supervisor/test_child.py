"""Tests of a supervised process: it obeys its supervisor, and drains when the supervisor exits."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from structlog.testing import capture_logs

from web.process.shutdown import Stop
from web.supervisor.child import SupervisorLink
from web.supervisor.plan import READY, Command


@asynccontextmanager
async def supervised() -> AsyncIterator[tuple[trio.SocketStream, SupervisorLink, Stop]]:
    """Yield the parent's end of the control socket, and a child that obeys it."""
    parent, child = socket.socketpair()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(parent))
    supervisor, stop = SupervisorLink(child.detach()), Stop()
    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.obey, stop)
        yield stream, supervisor, stop
        nursery.cancel_scope.cancel()


async def test_child_reports_that_it_is_ready() -> None:
    async with supervised() as (parent, supervisor, _):
        await supervisor.report_ready()
        assert await parent.receive_some(10) == READY


@pytest.mark.parametrize(
    ("orders", "replaced", "hurried"),
    [
        ([Command.LEAVE], True, False),
        ([Command.DRAIN], False, False),
        ([Command.LEAVE, Command.DRAIN], True, False),
        ([Command.DRAIN, Command.LEAVE], False, False),
        ([Command.DRAIN, Command.DRAIN], False, False),
        ([Command.DRAIN, Command.HURRY], False, True),
        ([Command.HURRY], False, True),
    ],
)
async def test_orders_are_obeyed(orders: list[Command], replaced: bool, hurried: bool) -> None:
    async with supervised() as (parent, _, stop):
        await parent.send_all(b"".join(order.value for order in orders))
        await stop.requested.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert (stop.replaced, stop.hurried.is_set()) == (replaced, hurried)


async def test_child_hands_over_when_the_supervisor_is_gone() -> None:
    with capture_logs() as logs:
        async with supervised() as (parent, _, stop):
            await parent.aclose()
            await stop.requested.wait()
            assert stop.replaced
    assert [line["event"] for line in logs] == ["supervisor exited"]
