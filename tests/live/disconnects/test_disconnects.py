"""Client disconnects: latency until the upstream connection closes, and the recorded turn.

The clock starts before the client's `close()` and stops when the simulated provider, another
process, sees the end of its connection. From a disconnect that took too long, the time is
subtracted during which one of the three processes was runnable but had no CPU. On an otherwise
idle machine that time is zero.
"""

import os
from collections import Counter
from dataclasses import dataclass
from itertools import count, pairwise, product
from math import ceil
from pathlib import Path
from random import Random

import pytest
import trio

from tests.support.live.harness import Process, Server, until
from tests.support.live.http_client import (
    JSON,
    PIPELINED,
    Call,
    all_turns,
    fetch,
    live_turns,
    open_chat,
    reports,
)
from tests.support.live.sse_frames import read_frames, text_of
from tests.support.sizes import FULL

REPEATS = 200 if FULL else 12
"""Disconnects of each kind."""
CLIENTS = 1000
ROUNDS = 5
LONG_QUESTION: list[JSON] = [{"role": "user", "content": "Why? " * 5000}]
LEAK_BYTES = 10_000
"""Allowed memory growth per turn, in bytes; a leaked turn with this question takes more."""
AT_A_TIME = 50
BOUND_S = 0.010

_numbers = count(1)


@dataclass(frozen=True)
class Position:
    """A point of a call at which the client disconnects."""

    settings: str
    """Settings of the simulated model."""
    reached: str | None
    """Field of the provider's report that is set at this point; None: three frames received."""
    stage: str
    """Expected `disconnect_stage` of the record."""
    stream: bool = True


@dataclass(frozen=True)
class Disconnect:
    """Duration of one disconnect, and the time without a CPU during it, in seconds."""

    took_s: float
    waited_s: float

    @property
    def own_s(self) -> float:
        """Duration without the time that a process waited for a CPU, if it exceeded the bound."""
        return self.took_s if self.took_s < BOUND_S else max(0.0, self.took_s - self.waited_s)


POSITIONS = {
    "before upstream headers": Position("silent", "began", "before_first_token"),
    "after headers": Position("stall=0", "head_at", "before_first_token"),
    "mid-stream": Position("first=1ms,delay=20ms,tokens=500", None, "mid_stream"),
    "non-streaming": Position(
        "first=1ms,delay=20ms,tokens=500", "first_token_at", "mid_stream", False
    ),
}


def cpu_wait_s(pids: list[int]) -> float:
    """Return the total seconds that threads of these processes were runnable without a CPU."""
    threads = [thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((thread / "schedstat").read_text().split()[1]) for thread in threads) / 1e9


def percentile(fraction: float, values: list[float]) -> float:
    """Return a percentile by the nearest-rank method."""
    return sorted(values)[ceil(fraction * len(values)) - 1]


async def wait_for_report(upstream: Process, user: str, what: str) -> JSON:
    """Wait until `what` is set in the provider's report of this user's call; return the report."""

    async def look() -> JSON | None:
        found = await reports(upstream, user)
        return found[0] if found and found[0][what] is not None else None

    report = await until(look)
    assert report is not None
    return report


async def reach_position(position: Position, call: Call, upstream: Process, user: str) -> None:
    """Wait until the call has reached the position."""
    if position.reached is None:
        await call.head()
        await call.frames(3)
    else:
        await wait_for_report(upstream, user, position.reached)


async def disconnect_once(
    live: Server, upstream: Process, position: Position, how: str, pipelined: bytes
) -> Disconnect:
    """Disconnect at this position and check the record."""
    number = next(_numbers)
    model, user = f"up/v{number}:{position.settings}", f"leaver-{number}"
    pids = [live.pid, upstream.pid, os.getpid()]
    async with open_chat(
        live, model, stream=position.stream, pipelined=pipelined, user=user
    ) as call:
        await reach_position(position, call, upstream, user)
        waited = cpu_wait_s(pids)
        left_at = call.disconnect(how)
        report = await wait_for_report(upstream, user, "closed_at")
        waited = cpu_wait_s(pids) - waited
    received = text_of(read_frames(bytes(call.body), allow_partial=True))
    await check_record(live, model, position, report, received)
    assert isinstance(report["closed_at"], float)
    return Disconnect(report["closed_at"] - left_at, waited)


async def check_record(
    live: Server, model: str, position: Position, report: JSON, received: str
) -> None:
    """Assert one incomplete record with the expected stage, and text between received and sent."""

    async def look() -> JSON | None:
        _, page = await fetch(live, "/v1/turns?limit=1")
        assert isinstance(page["data"], list)
        newest: JSON = page["data"][0]
        return newest if newest["model"] == model and newest["ended_at"] else None

    found = await until(look)
    assert found is not None
    check_disconnect_record(found, report, received)
    assert found["disconnect_stage"] == position.stage
    was_requested = position.reached != "began"
    assert (found["usage"] is not None) is was_requested


def check_disconnect_record(found: JSON, report: JSON, received: str) -> None:
    """Assert what holds for the record of every disconnected client."""
    assert (found["status"], found["reason"]) == ("incomplete", "client_disconnected")
    text, sent = str(found["text"]), str(report["text_sent"])
    assert sent.startswith(text)
    assert text.startswith(received)
    usage = found["usage"]
    if isinstance(usage, dict):
        assert usage["estimated"] is True
        assert (usage["output_tokens"] > 0) is (text != "")


@pytest.mark.alone
@pytest.mark.parametrize("name", POSITIONS)
async def test_upstream_closes_within_10_ms_of_a_disconnect(
    live: Server, upstream: Process, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(await all_turns(live))
    found: list[Disconnect] = []
    for _, how, pipelined in product(range(REPEATS), ("fin", "rst"), (b"", PIPELINED)):
        found += [await disconnect_once(live, upstream, POSITIONS[name], how, pipelined)]
    with capsys.disabled():
        print(f"\n{name}: {format_latencies(found)}")  # noqa: T201 (reports the measurement)
    assert percentile(0.99, [disconnect.own_s for disconnect in found]) < BOUND_S
    assert len(await all_turns(live)) == before + len(found)


def format_latencies(found: list[Disconnect]) -> str:
    """Format the percentiles, in milliseconds."""
    took = [1000 * disconnect.took_s for disconnect in found]
    without_cpu = sum(disconnect.own_s != disconnect.took_s for disconnect in found)
    return (
        f"{len(took)} disconnects, close() to upstream closed: p50 {percentile(0.5, took):.2f},"
        f" p99 {percentile(0.99, took):.2f}, worst {max(took):.2f} ms ({without_cpu} without a CPU)"
    )


class RandomClients:
    """Concurrent clients that disconnect at random moments, reproducible by seed."""

    def __init__(self, live: Server, upstream: Process, seed: int) -> None:
        self._live = live
        self._upstream = upstream
        self._random = Random(seed)
        self._received: dict[str, str] = {}
        """Text that each client received, by its model, which is unique to the client."""
        self._turns: list[JSON] = []

    async def run(self, clients_wanted: int) -> None:
        """Run clients until `clients_wanted` of them have a turn.

        A client may disconnect before the server has read its request; it is replaced.
        """
        limit = trio.CapacityLimiter(AT_A_TIME)
        wanted = len(self._turns) + clients_wanted
        while (missing := wanted - len(self._turns)) > 0:
            async with trio.open_nursery() as nursery:
                for number in range(missing):
                    await limit.acquire_on_behalf_of(number)
                    nursery.start_soon(self._run_client, number, limit)
            await wait_until_idle(self._live, self._upstream)
            turns = await all_turns(self._live)
            self._turns = [found for found in turns if found["model"] in self._received]

    async def check(self) -> None:
        """Assert one record per client, consistent with the text received and the text sent."""
        sent = {f"up/{report['model']}": report for report in await reports(self._upstream)}
        silent: JSON = {"text_sent": ""}
        assert len({found["model"] for found in self._turns}) == len(self._turns)
        for found in self._turns:
            model = str(found["model"])
            check_disconnect_record(found, sent.get(model, silent), self._received[model])
        begun = {found["model"] for found in self._turns}
        stages = {found["disconnect_stage"] for found in self._turns}
        assert stages == {"before_first_token", "mid_stream"}
        assert not any(text for model, text in self._received.items() if model not in begun)
        assert sent.keys() <= begun

    async def _run_client(self, number: int, limit: trio.CapacityLimiter) -> None:
        random = self._random
        head, delay = random.choice((0, 50)), random.choice((10, 20, 50))
        model = f"up/v{next(_numbers)}:head={head}ms,delay={delay}ms,tokens=5000"
        stream, how = random.random() < 0.8, random.choice(("fin", "rst"))
        pipelined = random.choice((b"", PIPELINED))
        stays_s = random.uniform(0.02, 0.3)
        async with open_chat(
            self._live, model, stream=stream, pipelined=pipelined, messages=LONG_QUESTION
        ) as call:
            with trio.move_on_after(stays_s):
                await call.head()
                await call.read_all()
            call.disconnect(how)
        self._received[model] = text_of(read_frames(bytes(call.body), allow_partial=True))
        limit.release_on_behalf_of(number)


def open_descriptors(process: Process) -> int:
    """Return the number of open file descriptors of a process."""
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def resident_bytes(process: Process) -> int:
    """Return the resident memory of a process in bytes."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def wait_until_idle(live: Server, upstream: Process) -> None:
    """Wait until no turn is running and all upstream connections are closed."""

    async def no_live_turns() -> bool:
        return await live_turns(live) == 0

    async def all_closed() -> bool:
        return all(report["closed_at"] is not None for report in await reports(upstream))

    await until(no_live_turns)
    await until(all_closed)


@pytest.mark.alone
async def test_random_disconnects_leave_one_record_each_and_leak_nothing(
    live: Server, upstream: Process
) -> None:
    already = len(await all_turns(live))
    await fetch(upstream, "/witness", "DELETE")
    clients = RandomClients(live, upstream, seed=2)
    memory, descriptors = [], []
    for _ in range(ROUNDS):
        await clients.run(CLIENTS // ROUNDS)
        memory.append(resident_bytes(live))
        descriptors.append(open_descriptors(live))
    assert max(descriptors) <= descriptors[0] + 2
    # Caches and uncollected garbage grow in some rounds; a leak grows in every round.
    assert (
        min(after - before for before, after in pairwise(memory)) < CLIENTS // ROUNDS * LEAK_BYTES
    )
    await clients.check()
    assert len(await all_turns(live)) == already + CLIENTS
    for table in ("usage_records", "messages"):
        counted = Counter(live.rows(f"SELECT turn_id FROM {table}"))  # noqa: S608
        assert set(counted.values()) == {1}
