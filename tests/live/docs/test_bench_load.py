"""Load generator and mock upstream on real sockets, with relays that corrupt the answers."""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from bench import scenarios, upstream
from bench.plan import Plan, Result
from bench.spec import Spec

PLAN = Plan(kind="closed", spec=Spec(chunks=50, delay=0), total=12, at_once=4, limit_s=4)
Transform = Callable[[bytes], bytes]


class Relay:
    """A TCP relay that applies `transform` to the bytes of the responses."""

    def __init__(self, upstream_port: int, transform: Transform, *, closes_upstream: bool) -> None:
        self._upstream_port = upstream_port
        self._transform = transform
        self._closes_upstream = closes_upstream
        self._released = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()

    def accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._serve(client, to_client)))

    async def wait_closed(self) -> None:
        """Wait until all connections are closed at both ends."""
        self._released.set()
        await asyncio.gather(*self._serving)
        # The transports report a closed connection some iterations of the loop later.
        for _ in range(10):
            await asyncio.sleep(0)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_upstream, to_upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        responses = asyncio.create_task(self._forward_responses(from_upstream, to_client))
        with suppress(ConnectionResetError):  # the load generator aborts some of its requests
            while data := await client.read(65536):
                to_upstream.write(data)
        if not self._closes_upstream:
            await self._released.wait()
        to_upstream.close()
        await responses

    async def _forward_responses(
        self, from_upstream: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        while data := await from_upstream.read(65536):
            to_client.write(self._transform(data))
        to_client.close()


def run_through_relay(plan: Plan, transform: Transform, *, closes_upstream: bool = True) -> Result:
    """Run the plan through a relay and return its result."""
    kinds = {"closed": scenarios.closed, "steady": scenarios.steady, "aborts": scenarios.aborts}

    async def main() -> Result:
        mock = await upstream.serve()
        port = mock.sockets[0].getsockname()[1]
        relay = Relay(port, transform, closes_upstream=closes_upstream)
        server = await asyncio.start_server(relay.accept, "127.0.0.1", 0)
        routed = replace(plan, port=server.sockets[0].getsockname()[1], upstream_port=port)
        result = await kinds[plan.kind](routed)
        server.close()
        mock.close()
        await relay.wait_closed()
        return result

    return asyncio.run(main())


def test_faithful_relay_passes() -> None:
    result = run_through_relay(PLAN, lambda data: data)
    assert result.problems == []
    assert (result.requests, result.chunks) == (12, 12 * 50)
    assert len(result.ttft_ms) == 12


def test_lossy_relay_is_reported_for_every_answer() -> None:
    result = run_through_relay(PLAN, lambda data: re.sub(rb'"\dw17 "', b'""     ', data))
    assert result.problem_count == 12
    assert "49 of 50 tokens" in result.problems[0]


def test_altering_relay_is_reported() -> None:
    result = run_through_relay(PLAN, lambda data: data.replace(b"2w20 ", b"2w02 "))
    assert result.problem_count == 2, "streams 2 and 10 of 12 carry text 2"


def test_relay_that_breaks_framing_is_reported() -> None:
    result = run_through_relay(PLAN, lambda data: data.replace(b"w17 ", b"w17, "))
    assert result.problem_count == 12


def test_disconnect_latency_is_measured() -> None:
    plan = replace(PLAN, kind="aborts", spec=Spec(chunks=500, delay=20), total=6)
    result = run_through_relay(plan, lambda data: data)
    assert result.problems == []
    assert len(result.abort_ms) == 6
    assert result.never == 0
    assert all(latency > 0 for latency in result.abort_ms)


def test_relay_that_keeps_its_upstream_connection_is_counted_as_never() -> None:
    plan = replace(PLAN, kind="aborts", spec=Spec(chunks=1, first=1000), total=2, patience_s=0.2)
    result = run_through_relay(plan, lambda data: data, closes_upstream=False)
    assert result.never == 2
    assert result.abort_ms == []
