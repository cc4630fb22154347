"""Client disconnects during retries, failover and continuation, within the usual bound.

Measured as in `tests.live.disconnects.test_disconnects`, from the client's `close()` to the end of
the current attempt's upstream connection. Between two attempts no connection exists: there it is
measured to the end of the turn.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import pytest
import trio

from actors.providers.simulated.prose import pieces
from tests.live.disconnects.test_disconnects import (
    BOUND_S,
    Disconnect,
    cpu_wait_s,
    format_latencies,
    percentile,
)
from tests.support.live.fault_scenarios import (
    FullAnswer,
    Scenario,
    fetch_full_answer,
    serving_faults,
    timestamp,
)
from tests.support.live.harness import Process, Server, until
from tests.support.live.http_client import (
    JSON,
    Call,
    all_turns,
    fetch,
    live_turns,
    open_chat,
    reports,
    turn,
)
from tests.support.live.sse_frames import read_frames, text_of
from tests.support.sizes import FULL

REPEATS = 200 if FULL else 12
"""Disconnects of each kind."""
CLOSE_KINDS = ("fin", "rst")
TOKENS = 500
SHOWN_TOKENS = 20
"""Tokens that the client has received when the primary breaks off."""
HELD_TOKENS = SHOWN_TOKENS - 5
"""Tokens that a held continuation repeats; it then stalls, so that it stays held."""
RETRY_AFTER_S = 4.0 if FULL else 2.0
CUT = f"first=1ms,delay=1ms,cut={SHOWN_TOKENS}"
STREAMING = "first=1ms,delay=10ms"


@dataclass(frozen=True)
class Position:
    """A point at which the client disconnects: settings of both routes, and how to detect it."""

    primary: str
    fallback: str
    reached: str | int
    """Field of the fallback's report, result of the last attempt, or number of tokens received."""
    results: tuple[str, ...]
    """Expected result of each attempt."""
    by: str | None = None
    """Provider of the text received; None if no text was."""
    sent_tokens: int = 0
    """Minimum number of tokens that the fallback has sent by then."""
    stream: bool = True


WAITING = "in a retry wait"
FAILED_OVER = ("rejected", "cancelled")
INTERRUPTED = ("truncated", "cancelled")
POSITIONS = {
    WAITING: Position(f"error=429,retry={RETRY_AFTER_S:g}", STREAMING, "rejected", ("rejected",)),
    "before the fallback's head": Position("context", "silent", "began", FAILED_OVER),
    "in the fallback's answer": Position("context", STREAMING, 3, FAILED_OVER, "spare"),
    "in the fallback's answer, not streamed": Position(
        "context", STREAMING, "first_token_at", FAILED_OVER, "spare", stream=False
    ),
    "before a continuation's head": Position(CUT, "silent", "began", INTERRUPTED, "main"),
    "in a continuation that is held": Position(
        CUT,
        f"first=1ms,delay=1ms,resume=again,stall={HELD_TOKENS}",
        "first_token_at",
        INTERRUPTED,
        "main",
        sent_tokens=HELD_TOKENS,
    ),
    "behind the seam": Position(
        CUT, f"{STREAMING},resume=on", SHOWN_TOKENS + 3, INTERRUPTED, "spare"
    ),
}


def scenario(name: str, number: int) -> Scenario:
    """Return a scenario with a unique model whose routes lead to this position."""
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
    """Run a server with one model per disconnect."""
    numbers = range(REPEATS * len(CLOSE_KINDS))
    models = [scenario(name, number) for name, number in product(POSITIONS, numbers)]
    with serving_faults(tmp_path_factory.mktemp("leaving"), upstream, models) as process:
        yield process


@dataclass(frozen=True)
class DisconnectedClient:
    """One disconnected client."""

    scenario: Scenario
    user: str
    disconnect: Disconnect
    left_at: float
    received: str
    turn: JSON
    whole: FullAnswer

    @property
    def attempts(self) -> list[JSON]:
        """The recorded attempts."""
        attempts = self.turn["attempts"]
        assert isinstance(attempts, list)
        return attempts


class PositionRun:
    """Runs consecutive clients that disconnect at one position."""

    def __init__(self, server: Server, upstream: Process, name: str) -> None:
        self._server = server
        self._upstream = upstream
        self._name = name
        self._position = POSITIONS[name]
        self._pids = [server.pid, upstream.pid, os.getpid()]

    async def disconnect_once(self, number: int, how: str) -> DisconnectedClient:
        """Send a request, disconnect at the position, and collect the outcome."""
        scenario_asked = scenario(self._name, number)
        user = scenario_asked.name.replace(" ", "-")
        stream = self._position.stream
        async with open_chat(self._server, scenario_asked.name, stream=stream, user=user) as call:
            await self._reach(call, scenario_asked, user)
            waited = cpu_wait_s(self._pids)
            left_at = call.disconnect(how)
            closed_at = await self._closed_at(scenario_asked, user)
            waited = cpu_wait_s(self._pids) - waited
        return DisconnectedClient(
            scenario=scenario_asked,
            user=user,
            disconnect=Disconnect(closed_at - left_at, waited),
            left_at=left_at,
            received=text_of(read_frames(bytes(call.body), allow_partial=True)),
            turn=await self._ended(scenario_asked),
            whole=await fetch_full_answer(self._upstream, scenario_asked.name, TOKENS),
        )

    async def _reach(self, call: Call, scenario_asked: Scenario, user: str) -> None:
        reached = self._position.reached
        received = reached if isinstance(reached, int) else 0
        if self._position.primary == CUT:
            received = max(received, SHOWN_TOKENS)
        if received:
            await call.head()
            await call.frames(1 + received)
        if isinstance(reached, int):
            return
        if reached == "rejected":
            await until(lambda: self._is_waiting(scenario_asked))
        else:
            await until(lambda: self._fallback_report(scenario_asked, user, reached))

    async def _is_waiting(self, scenario_asked: Scenario) -> bool:
        """Return True while the turn waits after its first attempt."""
        found = await self._newest(scenario_asked)
        attempts = found["attempts"] if found else None
        return isinstance(attempts, list) and [a["result"] for a in attempts] == ["rejected"]

    async def _fallback_report(self, scenario_asked: Scenario, user: str, what: str) -> JSON | None:
        """Return the report on the fallback's call once `what` is set in it, else None."""
        for report in await reports(self._upstream, user):
            sent_tokens = int(str(report["tokens_sent"]))
            if (
                report["model"] == scenario_asked.spare
                and sent_tokens >= self._position.sent_tokens
            ):
                return report if report[what] is not None else None
        return None

    async def _newest(self, scenario_asked: Scenario) -> JSON | None:
        """Return this scenario's turn if it is the newest one."""
        _, page = await fetch(self._server, "/v1/turns?limit=1")
        assert isinstance(page["data"], list)
        for newest in page["data"]:
            if newest["model"] == scenario_asked.name:
                return await turn(self._server, newest["id"])
        return None

    async def _ended(self, scenario_asked: Scenario) -> JSON:
        """Wait until the turn has ended and is stored; return it."""

        async def look() -> JSON | None:
            found = await self._newest(scenario_asked)
            return found if found and found["stored"] == "committed" and found["ended_at"] else None

        found = await until(look)
        assert found is not None
        return found

    async def _closed_at(self, scenario_asked: Scenario, user: str) -> float:
        """Return the CLOCK_MONOTONIC time at which no upstream request was running any more."""
        if self._name == WAITING:
            clocks_apart = time.time() - time.monotonic()
            return timestamp(await self._ended(scenario_asked), "ended_at") - clocks_apart
        report = await until(lambda: self._fallback_report(scenario_asked, user, "closed_at"))
        assert report is not None
        return timestamp(report, "closed_at")

    async def check(self, client: DisconnectedClient) -> None:
        """Assert one record, consistent with the upstream requests and the text received."""
        found, position = client.turn, self._position
        assert (found["status"], found["reason"]) == ("incomplete", "client_disconnected")
        assert tuple(attempt["result"] for attempt in client.attempts) == position.results
        assert found["provider"] == position.by
        stage = "mid_stream" if position.by else "before_first_token"
        assert found["disconnect_stage"] == stage
        scenario_asked = [report["model"] for report in await reports(self._upstream, client.user)]
        both = [client.scenario.main, client.scenario.spare]
        assert scenario_asked == both[: len(position.results)]
        text = str(found["text"])
        assert text.startswith(client.received)
        assert client.whole.text.startswith(text)
        assert (text == "") is (position.by is None)
        check_usage(client, text)


def check_usage(client: DisconnectedClient, text: str) -> None:
    """Assert that the client is charged for the text it received, not for text held back."""
    usage = client.turn["usage"]
    if not text:
        assert usage is None
        return
    assert isinstance(usage, dict)
    assert usage["estimated"] is True
    assert usage["output_tokens"] == pytest.approx(len(pieces(text)), rel=0.2, abs=3)
    assert usage["input_tokens"] < 20
    if client.turn["provider"] == "main":
        assert usage["output_tokens"] == client.attempts[0]["output_tokens"]


@pytest.mark.alone
@pytest.mark.parametrize("name", POSITIONS)
async def test_current_attempt_ends_within_10_ms_of_a_disconnect(
    server: Server, upstream: Process, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, clients = PositionRun(server, upstream, name), []
    for number, how in enumerate(CLOSE_KINDS * REPEATS):
        clients.append(await run.disconnect_once(number, how))
    found = [one.disconnect for one in clients]
    with capsys.disabled():
        print(f"\n{name}: {format_latencies(found)}")  # noqa: T201 (reports the measurement)
    if name == WAITING:
        # Only after the retry delay can the absence of another request be checked.
        await trio.sleep(clients[-1].left_at + 1.2 * RETRY_AFTER_S - time.monotonic())
    assert await live_turns(server) == 0
    for one in clients:
        await run.check(one)
    assert percentile(0.99, [disconnect.own_s for disconnect in found]) < BOUND_S
    models = [found["model"] for found in await all_turns(server)]
    assert all(models.count(one.scenario.name) == 1 for one in clients)
