"""Failing upstreams: refused connections, invalid responses, truncation and timeouts.

Faults are requested streamed and unstreamed. The client gets an error that explains the fault, a
truncated answer never looks complete, and the record has the reason.
"""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from tests.support.live.harness import Process, Server, serving, until, write_config
from tests.support.live.http_client import JSON, Call, fetch, open_chat, reports, turn
from tests.support.live.sse_frames import error_of, read_frames, text_of

SHORT_TIMEOUTS = """
grace_s = 0
drain_s = 1
[turns]
commit_after_s = 3
[timeouts]
connect_s = 0.5
first_byte_s = 0.4
first_token_s = 0.4
idle_s = 0.4
after_finish_s = 0.4
[providers.down]
format = "openai-chat"
base_url = "http://127.0.0.1:{closed}/v1"
"""


@dataclass(frozen=True)
class UpstreamFault:
    """A fault of the upstream and its expected consequences."""

    model: str
    status: int
    reason: str
    code: str | None = None
    head_sent: bool = False
    """True if the response head precedes the failure, so that a stream has status 200."""
    retry_after: str | None = None
    attempts: int = 1
    """Number of requests to the route before content (docs/reference/retries.md)."""

    @property
    def has_content(self) -> bool:
        """True if content precedes the failure."""
        return self.head_sent and not self.model.endswith("=0")

    def attempts_for(self, *, stream: bool) -> int:
        """Return the number of requests; after a cut, a client without content gets two more."""
        if self.head_sent and self.code != "first_token_timeout":
            return 1 if stream and self.has_content else 3
        return self.attempts


BEFORE_THE_HEAD = [
    UpstreamFault("down/v", 502, "upstream_unreachable", "refused", attempts=2),
    UpstreamFault("up/v:refuse", 502, "upstream_unreachable", "refused", attempts=2),
    UpstreamFault("up/v:error=400,code=too_much", 400, "upstream_rejected", "too_much"),
    UpstreamFault("up/v:error=401", 502, "upstream_rejected"),
    UpstreamFault("up/v:error=404", 404, "upstream_rejected"),
    UpstreamFault("up/v:error=429,retry=7", 429, "upstream_rejected", retry_after="7"),
    UpstreamFault("up/v:error=500", 502, "upstream_error", attempts=2),
    UpstreamFault("up/v:error=503", 503, "upstream_error", retry_after="1", attempts=2),
    UpstreamFault("up/v:html", 502, "upstream_error", "server_error", attempts=2),
    UpstreamFault("up/v:html=502", 502, "upstream_error", "server_error", attempts=2),
    UpstreamFault("up/v:garbage", 502, "upstream_error", "server_error", attempts=2),
    UpstreamFault("up/v:silent", 504, "upstream_timeout", "first_byte_timeout"),
]
AFTER_THE_HEAD = [
    UpstreamFault("up/v:stall=0", 504, "upstream_timeout", "first_token_timeout", head_sent=True),
    UpstreamFault("up/v:cut=0", 502, "upstream_truncated", "truncated", head_sent=True),
    UpstreamFault("up/v:cut=5", 502, "upstream_truncated", "truncated", head_sent=True),
    UpstreamFault("up/v:break=5", 502, "upstream_truncated", "truncated", head_sent=True),
    UpstreamFault("up/v:reset=5", 502, "upstream_truncated", "truncated", head_sent=True),
    UpstreamFault("up/v:noise=5", 502, "upstream_truncated", "truncated", head_sent=True),
    UpstreamFault("up/v:end=5", 502, "upstream_truncated", "truncated", head_sent=True),
    UpstreamFault("up/v:stall=5", 504, "upstream_timeout", "idle_timeout", head_sent=True),
    UpstreamFault("up/v:errorframe=5,code=late", 502, "upstream_error", "late", head_sent=True),
    UpstreamFault("up/v:torn=5", 502, "upstream_error", "malformed", head_sent=True),
]
STILL_COMPLETE = ["up/v:hang", "up/v:nodone", "up/v:nousage", "up/v:badjson=5"]


@pytest.fixture(scope="module")
def short_timeouts(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """Run a server whose upstream timeouts are half a second at most."""
    directory = tmp_path_factory.mktemp("impatient")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    config = write_config(directory, upstream.port, SHORT_TIMEOUTS.format(closed=closed))
    with serving(directory, config) as server:
        yield server


def settings_of(fault: UpstreamFault) -> str:
    """Return the settings of the model, which describe the fault."""
    return fault.model.rpartition(":")[2]


async def check_record(server: Server, call: Call, fault: UpstreamFault, *, stream: bool) -> JSON:
    """Check the turn's record and return it."""
    found = await turn(server, call.turn_id)
    assert (found["status"], found["reason"]) == ("failed", fault.reason)
    assert found["stored"] == "committed"
    assert found["disconnect_stage"] is None
    assert isinstance(found["error"], dict)
    assert found["error"]["status"] == fault.status
    attempts = found["attempts"]
    assert isinstance(attempts, list)
    assert len(attempts) == fault.attempts_for(stream=stream)
    assert (found["usage"] is not None) is fault.has_content
    await reset_breaker(server, fault)
    return found


async def reset_breaker(server: Server, fault: UpstreamFault) -> None:
    """Close the route's circuit breaker, so that each test starts in the same state."""
    path = f"/v1/routes/{quote(fault.model, safe='/')}/reset"
    status, _ = await fetch(server, path, "POST")
    assert status == 200


def check_error(error: JSON, fault: UpstreamFault) -> None:
    """Assert that the error names the fault and does not leak an upstream address."""
    assert error["code"] == fault.code or fault.code is None
    assert error["message"]
    assert "127.0.0.1" not in json.dumps(error)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "unstreamed"])
@pytest.mark.parametrize("fault", BEFORE_THE_HEAD, ids=settings_of)
async def test_failure_before_the_head_sets_the_status(
    short_timeouts: Server, fault: UpstreamFault, stream: bool
) -> None:
    async with open_chat(short_timeouts, fault.model, stream=stream) as call:
        assert await call.head() == fault.status
        error = json.loads(await call.read_all())["error"]
    check_error(error, fault)
    assert call.headers.get("retry-after") == fault.retry_after
    assert (await check_record(short_timeouts, call, fault, stream=stream))["text"] == ""


@pytest.mark.parametrize("fault", AFTER_THE_HEAD, ids=settings_of)
async def test_failure_mid_stream_is_an_error_frame_without_done(
    short_timeouts: Server, upstream: Process, fault: UpstreamFault
) -> None:
    user = f"bad-day-{fault.model}"
    async with open_chat(short_timeouts, fault.model, user=user) as call:
        assert await call.head() == 200
        frames = await call.all_frames()
    check_error(error_of(frames), fault)
    received = text_of(frames[:-1])
    found = await check_record(short_timeouts, call, fault, stream=True)
    assert found["text"] == received
    report = (await reports(upstream, user))[-1]
    assert str(report["text_sent"]).startswith(received)
    assert (received != "") is fault.has_content


@pytest.mark.parametrize("fault", AFTER_THE_HEAD, ids=settings_of)
async def test_failure_of_an_unstreamed_answer_sets_the_status(
    short_timeouts: Server, fault: UpstreamFault
) -> None:
    async with open_chat(short_timeouts, fault.model, stream=False) as call:
        assert await call.head() == fault.status
        check_error(json.loads(await call.read_all())["error"], fault)
    await check_record(short_timeouts, call, fault, stream=False)


@pytest.mark.parametrize("model", STILL_COMPLETE)
async def test_complete_answer_with_a_protocol_fault_is_completed(
    short_timeouts: Server, upstream: Process, model: str
) -> None:
    async with open_chat(short_timeouts, model, user=f"whole-{model}") as call:
        await call.head()
        frames = await call.all_frames()
    assert frames[-1].data == b"[DONE]"
    found = await turn(short_timeouts, call.turn_id)
    assert (found["status"], found["reason"]) == ("completed", "stop")
    (report,) = await reports(upstream, f"whole-{model}")
    assert found["text"] == text_of(frames) == report["text_sent"]


async def test_connection_to_a_silent_upstream_is_closed(
    short_timeouts: Server, upstream: Process
) -> None:
    async with open_chat(short_timeouts, "up/v:silent", user="closed?") as call:
        await call.head()

    async def closed() -> bool:
        (report,) = await reports(upstream, "closed?")
        return report["closed_at"] is not None

    await until(closed)


async def test_exhausted_time_budget_ends_the_turn(
    tmp_path_factory: pytest.TempPathFactory, upstream: Process
) -> None:
    directory = tmp_path_factory.mktemp("budget")
    settings = "grace_s = 0\n[timeouts]\ntotal_s = 1.5\n"
    with serving(directory, write_config(directory, upstream.port, settings)) as server:
        async with open_chat(server, "up/v:delay=20ms,tokens=5000") as call:
            await call.head()
            frames = await call.all_frames()
        assert b"\n: warning half_time " in call.body
        assert error_of(frames)["code"] == "time_budget"
        found = await turn(server, call.turn_id)
        assert (found["status"], found["reason"]) == ("incomplete", "time_budget")
        assert found["text"] == text_of(read_frames(bytes(call.body))[:-1]) != ""
        async with open_chat(server, "up/v:delay=20ms,tokens=5000", stream=False) as whole:
            assert await whole.head() == 504
