"""The load generator and the witness over real sockets, against relays not to be trusted."""

import asyncio
import re
from collections.abc import Callable

from msgspec.structs import replace

from bench import scenarios, upstream
from bench.plan import Plan, Result
from bench.spec import Spec

PLAN = Plan(kind="closed", spec=Spec(chunks=50, delay=0), total=12, at_once=4, limit_s=4)
Meddle = Callable[[bytes], bytes]


class Relay:
    """Passes bytes both ways, and lets `meddle` have a go at the answers."""

    def __init__(self, upstream_port: int, meddle: Meddle, *, hangs_up: bool) -> None:
        self._upstream_port = upstream_port
        self._meddle = meddle
        self._hangs_up = hangs_up
        self._let_go = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()

    def accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._serve(client, to_client)))

    async def over(self) -> None:
        """All connections are closed, and the loop has seen it at both ends."""
        self._let_go.set()
        await asyncio.gather(*self._serving)
        for _ in range(10):
            await asyncio.sleep(0)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        back = asyncio.create_task(self._back(there, to_client))
        while data := await client.read(65536):
            to_there.write(data)
        if not self._hangs_up:
            await self._let_go.wait()
        to_there.close()
        await back

    async def _back(self, there: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        while data := await there.read(65536):
            to_client.write(self._meddle(data))
        to_client.close()


def through(plan: Plan, meddle: Meddle, *, hangs_up: bool = True) -> Result:
    """The plan's result through a relay that meddles."""
    kinds = {"closed": scenarios.closed, "steady": scenarios.steady, "aborts": scenarios.aborts}

    async def main() -> Result:
        mock = await upstream.serve()
        port = mock.sockets[0].getsockname()[1]
        relay = Relay(port, meddle, hangs_up=hangs_up)
        server = await asyncio.start_server(relay.accept, "127.0.0.1", 0)
        aimed = replace(plan, port=server.sockets[0].getsockname()[1], upstream_port=port)
        result = await kinds[plan.kind](aimed)
        server.close()
        mock.close()
        await relay.over()
        return result

    return asyncio.run(main())


def test_an_honest_relay_passes() -> None:
    result = through(PLAN, lambda data: data)
    assert result.problems == []
    assert (result.requests, result.chunks) == (12, 12 * 50)
    assert len(result.ttft_ms) == 12


def test_a_lossy_relay_is_reported_for_every_answer() -> None:
    result = through(PLAN, lambda data: re.sub(rb'"\dw17 "', b'""     ', data))
    assert result.problem_count == 12
    assert "49 of 50 tokens" in result.problems[0]


def test_an_altering_relay_is_reported() -> None:
    result = through(PLAN, lambda data: data.replace(b"2w20 ", b"2w02 "))
    assert result.problem_count == 2, "streams 2 and 10 of 12 carry text 2"


def test_a_relay_that_breaks_framing_is_reported() -> None:
    result = through(PLAN, lambda data: data.replace(b"w17 ", b"w17, "))
    assert result.problem_count == 12


def test_the_witness_times_clients_that_leave() -> None:
    plan = replace(PLAN, kind="aborts", spec=Spec(chunks=500, delay=20), total=6)
    result = through(plan, lambda data: data)
    assert result.problems == []
    assert len(result.abort_ms) == 6
    assert result.never == 0
    assert all(latency > 0 for latency in result.abort_ms)


def test_a_relay_that_keeps_its_upstream_is_told_from_one_that_lets_go() -> None:
    plan = replace(PLAN, kind="aborts", spec=Spec(chunks=1, first=1000), total=2, patience_s=0.2)
    result = through(plan, lambda data: data, hangs_up=False)
    assert result.never == 2
    assert result.abort_ms == []
