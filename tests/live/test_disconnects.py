"""Clients that leave: how soon the upstream connection ends, and what is recorded of it.

The clock starts before the client's `close()` and stops where the witness, another process,
sees the end of its connection. Of a disconnect that took too long, the time is taken off in which
one of the three processes stood ready to run and the kernel gave the CPU to somebody else: on a
machine that has nothing else to do there is none.
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

from tests.live.client import (
    JSON,
    PIPELINED,
    Call,
    all_turns,
    chatting,
    fetch,
    live_turns,
    reports,
)
from tests.live.frames import read_frames, text_of
from tests.live.harness import FULL, Process, Server, until

EACH = 200 if FULL else 25
"""Disconnects of each kind."""
LEAVERS = 1000
ROUNDS = 5
LONG_QUESTION: list[JSON] = [{"role": "user", "content": "Why? " * 5000}]
KEPT = 10_000
"""Bytes per turn: less than a turn that nobody lets go of, with this question."""
AT_A_TIME = 50
BOUND_S = 0.010

_numbers = count(1)


@dataclass(frozen=True)
class Position:
    """Where in its call a client leaves."""

    settings: str
    """What the witness plays."""
    reached: str | None
    """Which time in the witness's report says that the place is reached; None: three frames."""
    stage: str
    stream: bool = True


@dataclass(frozen=True)
class Disconnect:
    """How long one took, in seconds, and how long the machine had no CPU for it meanwhile."""

    took_s: float
    waited_s: float

    @property
    def ours_s(self) -> float:
        """What of it is ours."""
        return self.took_s if self.took_s < BOUND_S else max(0.0, self.took_s - self.waited_s)


POSITIONS = {
    "before upstream headers": Position("silent", "began", "before_first_token"),
    "after headers": Position("stall=0", "head_at", "before_first_token"),
    "mid-stream": Position("first=1ms,delay=20ms,tokens=500", None, "mid_stream"),
    "non-streaming": Position(
        "first=1ms,delay=20ms,tokens=500", "first_token_at", "mid_stream", False
    ),
}


def run_queue_wait(pids: list[int]) -> float:
    """Seconds that the threads of these processes have stood ready and had no CPU, in all."""
    threads = [thread for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((thread / "schedstat").read_text().split()[1]) for thread in threads) / 1e9


def p(fraction: float, values: list[float]) -> float:
    """The percentile by nearest rank."""
    return sorted(values)[ceil(fraction * len(values)) - 1]


async def seen(upstream: Process, user: str, what: str) -> JSON:
    """The witness's report of this user's call, once `what` has its time."""

    async def look() -> JSON | None:
        found = await reports(upstream, user)
        return found[0] if found and found[0][what] is not None else None

    report = await until(look)
    assert report is not None
    return report


async def reach(position: Position, call: Call, upstream: Process, user: str) -> None:
    """Wait until the call has come to the place."""
    if position.reached is None:
        await call.head()
        await call.frames(3)
    else:
        await seen(upstream, user, position.reached)


async def leave_once(
    live: Server, upstream: Process, position: Position, how: str, behind: bytes
) -> Disconnect:
    """Leave at this place and check the record."""
    number = next(_numbers)
    model, user = f"up/v{number}:{position.settings}", f"leaver-{number}"
    pids = [live.pid, upstream.pid, os.getpid()]
    async with chatting(live, model, stream=position.stream, behind=behind, user=user) as call:
        await reach(position, call, upstream, user)
        waited = run_queue_wait(pids)
        left_at = call.leave(how)
        report = await seen(upstream, user, "closed_at")
        waited = run_queue_wait(pids) - waited
    received = text_of(read_frames(bytes(call.body), cut=True))
    await check_record(live, model, position, report, received)
    assert isinstance(report["closed_at"], float)
    return Disconnect(report["closed_at"] - left_at, waited)


async def check_record(
    live: Server, model: str, position: Position, report: JSON, received: str
) -> None:
    """One record: incomplete, the right stage, a text between what was sent and received."""

    async def look() -> JSON | None:
        _, page = await fetch(live, "/v1/turns?limit=1")
        assert isinstance(page["data"], list)
        newest: JSON = page["data"][0]
        return newest if newest["model"] == model and newest["ended_at"] else None

    found = await until(look)
    assert found is not None
    check_ending(found, report, received)
    assert found["disconnect_stage"] == position.stage
    asked = position.reached != "began"
    assert (found["usage"] is not None) is asked


def check_ending(found: JSON, report: JSON, received: str) -> None:
    """What the record of any leaver says."""
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
async def test_upstream_closes_within_ten_milliseconds(
    live: Server, upstream: Process, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(await all_turns(live))
    found: list[Disconnect] = []
    for _, how, behind in product(range(EACH), ("fin", "rst"), (b"", PIPELINED)):
        found += [await leave_once(live, upstream, POSITIONS[name], how, behind)]
    with capsys.disabled():
        print(f"\n{name}: {figures(found)}")  # noqa: T201 (what the test is for)
    assert p(0.99, [disconnect.ours_s for disconnect in found]) < BOUND_S
    assert len(await all_turns(live)) == before + len(found)


def figures(found: list[Disconnect]) -> str:
    """The percentiles, in milliseconds."""
    took = [1000 * disconnect.took_s for disconnect in found]
    held_up = sum(disconnect.ours_s != disconnect.took_s for disconnect in found)
    return (
        f"{len(took)} disconnects, close() to upstream closed: p50 {p(0.5, took):.2f},"
        f" p99 {p(0.99, took):.2f}, worst {max(took):.2f} ms ({held_up} without a CPU)"
    )


class Crowd:
    """Many clients at once that leave at random; the same seed, the same crowd."""

    def __init__(self, live: Server, upstream: Process, seed: int) -> None:
        self._live = live
        self._upstream = upstream
        self._random = Random(seed)
        self._received: dict[str, str] = {}
        """What each client got, by the model it asked for, which nobody else asks for."""
        self._turns: list[JSON] = []

    async def run(self, leavers: int) -> None:
        """Let so many come and go; who leaves before the server has read a word is not counted."""
        limit = trio.CapacityLimiter(AT_A_TIME)
        wanted = len(self._turns) + leavers
        while (missing := wanted - len(self._turns)) > 0:
            async with trio.open_nursery() as nursery:
                for number in range(missing):
                    await limit.acquire_on_behalf_of(number)
                    nursery.start_soon(self._one, number, limit)
            await quiet(self._live, self._upstream)
            turns = await all_turns(self._live)
            self._turns = [found for found in turns if found["model"] in self._received]

    async def check(self) -> None:
        """One record for each, true to what its client got and to what the witness sent."""
        sent = {f"up/{report['model']}": report for report in await reports(self._upstream)}
        silent: JSON = {"text_sent": ""}
        assert len({found["model"] for found in self._turns}) == len(self._turns)
        for found in self._turns:
            model = str(found["model"])
            check_ending(found, sent.get(model, silent), self._received[model])
        begun = {found["model"] for found in self._turns}
        stages = {found["disconnect_stage"] for found in self._turns}
        assert stages == {"before_first_token", "mid_stream"}
        assert not any(text for model, text in self._received.items() if model not in begun)
        assert sent.keys() <= begun

    async def _one(self, number: int, limit: trio.CapacityLimiter) -> None:
        random = self._random
        head, delay = random.choice((0, 50)), random.choice((10, 20, 50))
        model = f"up/v{next(_numbers)}:head={head}ms,delay={delay}ms,tokens=5000"
        stream, how = random.random() < 0.8, random.choice(("fin", "rst"))
        behind = random.choice((b"", PIPELINED))
        stays_s = random.uniform(0.02, 0.3)
        async with chatting(
            self._live, model, stream=stream, behind=behind, messages=LONG_QUESTION
        ) as call:
            with trio.move_on_after(stays_s):
                await call.head()
                await call.rest()
            call.leave(how)
        self._received[model] = text_of(read_frames(bytes(call.body), cut=True))
        limit.release_on_behalf_of(number)


def open_descriptors(process: Process) -> int:
    """How many files and sockets the process has open."""
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def resident(process: Process) -> int:
    """Bytes of memory that the process has."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def quiet(live: Server, upstream: Process) -> None:
    """Wait until nothing plays, and nothing is open between server and witness."""

    async def nobody_plays() -> bool:
        return await live_turns(live) == 0

    async def all_closed() -> bool:
        return all(report["closed_at"] is not None for report in await reports(upstream))

    await until(nobody_plays)
    await until(all_closed)


@pytest.mark.alone
async def test_a_thousand_random_disconnects_leave_a_thousand_records(
    live: Server, upstream: Process
) -> None:
    already = len(await all_turns(live))
    await fetch(upstream, "/witness", "DELETE")
    crowd = Crowd(live, upstream, seed=2)
    memory, descriptors = [], []
    for _ in range(ROUNDS):
        await crowd.run(LEAVERS // ROUNDS)
        memory.append(resident(live))
        descriptors.append(open_descriptors(live))
    assert max(descriptors) <= descriptors[0] + 2
    # Caches fill and garbage waits, in some rounds; what is never let go of grows in each.
    assert min(after - before for before, after in pairwise(memory)) < LEAVERS // ROUNDS * KEPT
    await crowd.check()
    assert len(await all_turns(live)) == already + LEAVERS
    for table in ("usage_records", "messages"):
        counted = Counter(live.rows(f"SELECT turn_id FROM {table}"))  # noqa: S608
        assert set(counted.values()) == {1}
