"""Clients that leave while another route is about to answer, or does: it ends as soon as any.

Measured as in `tests.live.test_disconnects`, from the client's `close()` to where the witness sees
the end of the connection of the attempt in play. Between two attempts there is none: there it is
the end of the turn.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import pytest
import trio

from actors.providers.simulated.prose import pieces
from tests.live.client import (
    JSON,
    Call,
    all_turns,
    chatting,
    fetch,
    live_turns,
    reports,
    turn,
)
from tests.live.faults import Said, Scenario, said, seconds, serving_faults
from tests.live.frames import read_frames, text_of
from tests.live.harness import FULL, Process, Server, until
from tests.live.test_disconnects import BOUND_S, Disconnect, figures, p, run_queue_wait

EACH = 200 if FULL else 25
"""Disconnects of each kind."""
HOWS = ("fin", "rst")
TOKENS = 500
SHOWN = 20
"""Tokens that the client has before a primary breaks off."""
RETRY_AFTER_S = 4.0
CUT = f"first=1ms,delay=1ms,cut={SHOWN}"
SPEAKING = "first=1ms,delay=10ms"


@dataclass(frozen=True)
class Position:
    """Where a client leaves: what both routes do, and what is there to be seen of the place."""

    primary: str
    fallback: str
    reached: str | int
    """A time in the report on the fallback, the result of the last attempt, or tokens received."""
    results: tuple[str, ...]
    """What becomes of each attempt."""
    by: str | None = None
    """Whose words the client has; None where it has none."""
    spoken: int = 0
    """Tokens that the fallback has sent by then, at least."""
    stream: bool = True


WAITING = "in a retry wait"
FAILED_OVER = ("rejected", "cancelled")
BROKEN = ("truncated", "cancelled")
POSITIONS = {
    WAITING: Position(f"error=429,retry={RETRY_AFTER_S:g}", SPEAKING, "rejected", ("rejected",)),
    "before the fallback's head": Position("context", "silent", "began", FAILED_OVER),
    "in the fallback's answer": Position("context", SPEAKING, 3, FAILED_OVER, "spare"),
    "in the fallback's answer, not streamed": Position(
        "context", SPEAKING, "first_token_at", FAILED_OVER, "spare", stream=False
    ),
    "before a continuation's head": Position(CUT, "silent", "began", BROKEN, "main"),
    "in a continuation that is held": Position(
        CUT, f"{SPEAKING},resume=again", "first_token_at", BROKEN, "main", spoken=SHOWN - 5
    ),
    "behind the seam": Position(CUT, f"{SPEAKING},resume=on", SHOWN + 3, BROKEN, "spare"),
}


def scenario(name: str, number: int) -> Scenario:
    """A model that nobody else asks for, whose routes do what happens at this place."""
    position = POSITIONS[name]
    return Scenario(
        f"{name} {number}",
        position.primary,
        position.fallback,
        windows=(8_000, 100_000),
        tokens=TOKENS,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """A server with a model for each disconnect."""
    numbers = range(EACH * len(HOWS))
    models = [scenario(name, number) for name, number in product(POSITIONS, numbers)]
    with serving_faults(tmp_path_factory.mktemp("leaving"), upstream, models) as process:
        yield process


@dataclass(frozen=True)
class Left:
    """One client that left."""

    scenario: Scenario
    user: str
    disconnect: Disconnect
    left_at: float
    received: str
    turn: JSON
    whole: Said

    @property
    def attempts(self) -> list[JSON]:
        """The attempts on record."""
        attempts = self.turn["attempts"]
        assert isinstance(attempts, list)
        return attempts


class Scene:
    """A server, its witness, and one client after the other that leaves at a place."""

    def __init__(self, server: Server, upstream: Process, name: str) -> None:
        self._server = server
        self._upstream = upstream
        self._name = name
        self._position = POSITIONS[name]
        self._pids = [server.pid, upstream.pid, os.getpid()]

    async def leave_once(self, number: int, how: str) -> Left:
        """Ask, come to the place, leave, and see what becomes of it."""
        asked = scenario(self._name, number)
        user = asked.name.replace(" ", "-")
        stream = self._position.stream
        async with chatting(self._server, asked.name, stream=stream, user=user) as call:
            await self._reach(call, asked, user)
            waited = run_queue_wait(self._pids)
            left_at = call.leave(how)
            closed_at = await self._closed_at(asked, user)
            waited = run_queue_wait(self._pids) - waited
        return Left(
            scenario=asked,
            user=user,
            disconnect=Disconnect(closed_at - left_at, waited),
            left_at=left_at,
            received=text_of(read_frames(bytes(call.body), cut=True)),
            turn=await self._ended(asked),
            whole=await said(self._upstream, asked.name, TOKENS),
        )

    async def _reach(self, call: Call, asked: Scenario, user: str) -> None:
        reached = self._position.reached
        received = reached if isinstance(reached, int) else 0
        if self._position.primary == CUT:
            received = max(received, SHOWN)
        if received:
            await call.head()
            await call.frames(1 + received)
        if isinstance(reached, int):
            return
        if reached == "rejected":
            await until(lambda: self._waits(asked))
        else:
            await until(lambda: self._spare(asked, user, reached))

    async def _waits(self, asked: Scenario) -> bool:
        """The first attempt is over, and the turn is not."""
        found = await self._newest(asked)
        attempts = found["attempts"] if found else None
        return isinstance(attempts, list) and [a["result"] for a in attempts] == ["rejected"]

    async def _spare(self, asked: Scenario, user: str, what: str) -> JSON | None:
        """The report on the fallback's call, once `what` has its time."""
        for report in await reports(self._upstream, user):
            spoken = int(str(report["tokens_sent"]))
            if report["model"] == asked.spare and spoken >= self._position.spoken:
                return report if report[what] is not None else None
        return None

    async def _newest(self, asked: Scenario) -> JSON | None:
        """The turn, which is the last one that was begun."""
        _, page = await fetch(self._server, "/v1/turns?limit=1")
        assert isinstance(page["data"], list)
        for newest in page["data"]:
            if newest["model"] == asked.name:
                return await turn(self._server, newest["id"])
        return None

    async def _ended(self, asked: Scenario) -> JSON:
        """The turn's record."""

        async def look() -> JSON | None:
            found = await self._newest(asked)
            return found if found and found["stored"] == "committed" and found["ended_at"] else None

        found = await until(look)
        assert found is not None
        return found

    async def _closed_at(self, asked: Scenario, user: str) -> float:
        """When nothing of ours was in play upstream any more, by CLOCK_MONOTONIC."""
        if self._name == WAITING:
            clocks_apart = time.time() - time.monotonic()
            return seconds(await self._ended(asked), "ended_at") - clocks_apart
        report = await until(lambda: self._spare(asked, user, "closed_at"))
        assert report is not None
        return seconds(report, "closed_at")

    async def check(self, left: Left) -> None:
        """One record, true to what was asked of whom and to what the client got."""
        found, position = left.turn, self._position
        assert (found["status"], found["reason"]) == ("incomplete", "client_disconnected")
        assert tuple(attempt["result"] for attempt in left.attempts) == position.results
        assert found["provider"] == position.by
        stage = "mid_stream" if position.by else "before_first_token"
        assert found["disconnect_stage"] == stage
        asked = [report["model"] for report in await reports(self._upstream, left.user)]
        both = [left.scenario.main, left.scenario.spare]
        assert asked == both[: len(position.results)]
        text = str(found["text"])
        assert text.startswith(left.received)
        assert left.whole.text.startswith(text)
        assert (text == "") is (position.by is None)
        check_usage(left, text)


def check_usage(left: Left, text: str) -> None:
    """What the client is charged: what it was left with, and not what was held back from it."""
    usage = left.turn["usage"]
    if not text:
        assert usage is None
        return
    assert isinstance(usage, dict)
    assert usage["estimated"] is True
    assert usage["output_tokens"] == pytest.approx(len(pieces(text)), rel=0.2, abs=3)
    assert usage["input_tokens"] < 20
    if left.turn["provider"] == "main":
        assert usage["output_tokens"] == left.attempts[0]["output_tokens"]


@pytest.mark.alone
@pytest.mark.parametrize("name", POSITIONS)
async def test_the_attempt_in_play_ends_within_ten_milliseconds(
    server: Server, upstream: Process, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scene, left = Scene(server, upstream, name), []
    for number, how in enumerate(HOWS * EACH):
        left.append(await scene.leave_once(number, how))
    found = [one.disconnect for one in left]
    with capsys.disabled():
        print(f"\n{name}: {figures(found)}")  # noqa: T201 (what the test is for)
    if name == WAITING:
        # That nobody asks again after the wait can only be seen behind it.
        await trio.sleep(left[-1].left_at + 1.2 * RETRY_AFTER_S - time.monotonic())
    assert await live_turns(server) == 0
    for one in left:
        await scene.check(one)
    assert p(0.99, [disconnect.ours_s for disconnect in found]) < BOUND_S
    models = [found["model"] for found in await all_turns(server)]
    assert all(models.count(one.scenario.name) == 1 for one in left)
