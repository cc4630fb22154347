"""Upstreams that refuse, answer nonsense, break off or fall silent, each for real.

Every row is played twice, streamed and whole: the client learns what happened, nothing that is
cut looks whole, and the record says why.
"""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from tests.live.client import JSON, Call, chatting, fetch, reports, turn
from tests.live.frames import error_of, read_frames, text_of
from tests.live.harness import Process, Server, serving, until, write_config

SHORT = """
grace_s = 0
drain_s = 1
[turns]
commit_after_s = 3
[timeouts]
connect_s = 0.5
first_byte_s = 0.4
first_token_s = 0.4
idle_s = 0.4
[providers.down]
format = "openai-chat"
base_url = "http://127.0.0.1:{closed}/v1"
"""


@dataclass(frozen=True)
class BadDay:
    """What the upstream does, and what comes of it."""

    model: str
    status: int
    reason: str
    code: str | None = None
    begun: bool = False
    """Whether the response's head came before the failure, so that a stream is a 200."""
    retry_after: str | None = None
    attempts: int = 1
    """How often the route is asked (docs/reference/retries.md)."""

    @property
    def said(self) -> bool:
        """Whether any content came before the failure."""
        return self.begun and not self.model.endswith("=0")


BEFORE_THE_HEAD = [
    BadDay("down/v", 502, "upstream_unreachable", "refused", attempts=2),
    BadDay("up/v:refuse", 502, "upstream_unreachable", "refused", attempts=2),
    BadDay("up/v:error=400,code=too_much", 400, "upstream_rejected", "too_much"),
    BadDay("up/v:error=401", 502, "upstream_rejected"),
    BadDay("up/v:error=404", 404, "upstream_rejected"),
    BadDay("up/v:error=429,retry=7", 429, "upstream_rejected", retry_after="7"),
    BadDay("up/v:error=500", 502, "upstream_error", attempts=2),
    BadDay("up/v:error=503", 503, "upstream_error", attempts=2),
    BadDay("up/v:html", 502, "upstream_error", "server_error", attempts=2),
    BadDay("up/v:html=502", 502, "upstream_error", "server_error", attempts=2),
    BadDay("up/v:garbage", 502, "upstream_error", "server_error", attempts=2),
    BadDay("up/v:silent", 504, "upstream_timeout", "first_byte_timeout"),
]
AFTER_IT = [
    BadDay("up/v:stall=0", 504, "upstream_timeout", "first_token_timeout", begun=True),
    BadDay("up/v:cut=0", 502, "upstream_truncated", "truncated", begun=True),
    BadDay("up/v:cut=5", 502, "upstream_truncated", "truncated", begun=True),
    BadDay("up/v:break=5", 502, "upstream_truncated", "truncated", begun=True),
    BadDay("up/v:reset=5", 502, "upstream_truncated", "truncated", begun=True),
    BadDay("up/v:noise=5", 502, "upstream_truncated", "truncated", begun=True),
    BadDay("up/v:end=5", 502, "upstream_truncated", "truncated", begun=True),
    BadDay("up/v:stall=5", 504, "upstream_timeout", "idle_timeout", begun=True),
    BadDay("up/v:errorframe=5,code=late", 502, "upstream_error", "late", begun=True),
    BadDay("up/v:torn=5", 502, "upstream_error", "malformed", begun=True),
]
STILL_WHOLE = ["up/v:hang", "up/v:nodone", "up/v:nousage", "up/v:badjson=5"]


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """A server that gives its upstreams half a second."""
    directory = tmp_path_factory.mktemp("impatient")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    config = write_config(directory, upstream.port, SHORT.format(closed=closed))
    with serving(directory, config) as server:
        yield server


def named(day: BadDay) -> str:
    """The model without its voice: what happens."""
    return day.model.rpartition(":")[2]


async def recorded(server: Server, call: Call, day: BadDay) -> JSON:
    """The turn's record, which says why."""
    found = await turn(server, call.turn_id)
    assert (found["status"], found["reason"]) == ("failed", day.reason)
    assert found["stored"] == "committed"
    assert found["disconnect_stage"] is None
    assert isinstance(found["error"], dict)
    assert found["error"]["status"] == day.status
    attempts = found["attempts"]
    assert isinstance(attempts, list)
    assert len(attempts) == day.attempts
    assert (found["usage"] is not None) is day.said
    await begin_anew(server, day)
    return found


async def begin_anew(server: Server, day: BadDay) -> None:
    """Close the route's breaker, so that the next day finds it as this one did."""
    path = f"/v1/routes/{quote(day.model, safe='/')}/reset"
    status, _ = await fetch(server, path, "POST")
    assert status == 200


def check_error(error: JSON, day: BadDay) -> None:
    """What the client is told: what happened, and no address."""
    assert error["code"] == day.code or day.code is None
    assert error["message"]
    assert "127.0.0.1" not in json.dumps(error)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("day", BEFORE_THE_HEAD, ids=named)
async def test_a_failure_before_the_head_is_a_status(
    impatient: Server, day: BadDay, stream: bool
) -> None:
    async with chatting(impatient, day.model, stream=stream) as call:
        assert await call.head() == day.status
        error = json.loads(await call.rest())["error"]
    check_error(error, day)
    assert call.headers.get("retry-after") == day.retry_after
    assert (await recorded(impatient, call, day))["text"] == ""


@pytest.mark.parametrize("day", AFTER_IT, ids=named)
async def test_a_failure_in_the_stream_is_an_error_and_no_end_mark(
    impatient: Server, upstream: Process, day: BadDay
) -> None:
    user = f"bad-day-{day.model}"
    async with chatting(impatient, day.model, user=user) as call:
        assert await call.head() == 200
        frames = await call.all_frames()
    check_error(error_of(frames), day)
    received = text_of(frames[:-1])
    found = await recorded(impatient, call, day)
    assert found["text"] == received
    (report,) = await reports(upstream, user)
    assert str(report["text_sent"]).startswith(received)
    assert (received != "") is day.said


@pytest.mark.parametrize("day", AFTER_IT, ids=named)
async def test_a_failure_in_an_answer_that_is_not_streamed_is_a_status(
    impatient: Server, day: BadDay
) -> None:
    async with chatting(impatient, day.model, stream=False) as call:
        assert await call.head() == day.status
        check_error(json.loads(await call.rest())["error"], day)
    await recorded(impatient, call, day)


@pytest.mark.parametrize("model", STILL_WHOLE)
async def test_what_is_whole_in_spite_of_it_is_completed(
    impatient: Server, upstream: Process, model: str
) -> None:
    async with chatting(impatient, model, user=f"whole-{model}") as call:
        await call.head()
        frames = await call.all_frames()
    assert frames[-1].data == b"[DONE]"
    found = await turn(impatient, call.turn_id)
    assert (found["status"], found["reason"]) == ("completed", "stop")
    (report,) = await reports(upstream, f"whole-{model}")
    assert found["text"] == text_of(frames) == report["text_sent"]


async def test_the_connection_to_a_silent_upstream_is_closed(
    impatient: Server, upstream: Process
) -> None:
    async with chatting(impatient, "up/v:silent", user="closed?") as call:
        await call.head()

    async def closed() -> bool:
        (report,) = await reports(upstream, "closed?")
        return report["closed_at"] is not None

    await until(closed)


async def test_a_budget_that_is_used_up_ends_the_turn(
    tmp_path_factory: pytest.TempPathFactory, upstream: Process
) -> None:
    directory = tmp_path_factory.mktemp("budget")
    settings = "grace_s = 0\n[timeouts]\ntotal_s = 1.5\n"
    with serving(directory, write_config(directory, upstream.port, settings)) as server:
        async with chatting(server, "up/v:delay=20ms,tokens=5000") as call:
            await call.head()
            frames = await call.all_frames()
        assert b"\n: warning half_time " in call.body
        assert error_of(frames)["code"] == "time_budget"
        found = await turn(server, call.turn_id)
        assert (found["status"], found["reason"]) == ("incomplete", "time_budget")
        assert found["text"] == text_of(read_frames(bytes(call.body))[:-1]) != ""
        async with chatting(server, "up/v:delay=20ms,tokens=5000", stream=False) as whole:
            assert await whole.head() == 504
