"""Access log: which requests are logged, and the fields of their lines."""

import io
import json
import logging
from typing import cast

import pytest
import structlog
from hypercorn.typing import HTTPScope
from structlog.testing import capture_logs
from trio.testing import MockClock

from tests.support.edge_harness import brief_pause, open_harness
from tests.support.turn_fakes import FOREVER, ScriptedProvider, stop, text
from web.observability.access_log import RequestContext, log_request
from web.observability.logs import logging_to

PROVIDER = ScriptedProvider(text("a"), stop())


def requests(logs: object) -> list[dict[str, object]]:
    """Return the lines of the access log."""
    lines = cast("list[dict[str, object]]", logs)
    return [line for line in lines if line["event"] == "request ended"]


async def test_request_is_logged_in_one_line_without_its_query(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_harness(PROVIDER) as harness:
            body = (await harness.get("/v1/turns?limit=3&secret=x")).content
    (line,) = requests(logs)
    assert line["log_level"] == "info"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/turns", 200)
    assert line["bytes"] == len(body)
    assert "secret" not in str(line)


async def test_request_that_starts_a_turn_is_logged_at_debug_with_the_turn(
    autojump_clock: MockClock,
) -> None:
    with capture_logs() as logs:
        async with open_harness(PROVIDER) as harness:
            got = await harness.stream_chat()
    (line,) = requests(logs)
    assert (line["log_level"], line["turn"], line["bytes"]) == ("debug", "turn_1", len(got))


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_probes_are_logged_at_debug(path: str, autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_harness(PROVIDER) as harness:
            await harness.get(path)
    assert [line["log_level"] for line in requests(logs)] == ["debug"]


async def test_error_is_logged_with_its_status(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_harness(PROVIDER) as harness:
            await harness.post("/v1/chat/completions", json={})
    (line,) = requests(logs)
    assert (line["log_level"], line["status"]) == ("info", 400)


async def test_disconnect_is_logged_and_timed(autojump_clock: MockClock) -> None:
    silent = ScriptedProvider(text("a"), FOREVER)
    with capture_logs() as logs:
        async with open_harness(silent) as harness:
            body = {
                "model": "large",
                "stream": True,
                "messages": [{"role": "user", "content": "x"}],
            }
            async with harness.client.stream("POST", "/v1/chat/completions", json=body):
                await brief_pause()
            await harness.app.exchanges[0].done.wait()
            value = harness.service.metrics.registry.get_sample_value
            assert value("trouper_abort_seconds_count") == 1
            assert value("trouper_abort_seconds_sum") == pytest.approx(0, abs=0.01)
    (line,) = requests(logs)
    assert (line["left"], line["status"]) == (True, 200)


async def test_complete_answer_is_not_an_abort(autojump_clock: MockClock) -> None:
    async with open_harness(PROVIDER) as harness:
        await harness.stream_chat()
        assert harness.service.metrics.registry.get_sample_value("trouper_abort_seconds_count") == 0


async def test_request_below_the_log_level_is_not_written(autojump_clock: MockClock) -> None:
    stream = io.StringIO()
    scope = cast("HTTPScope", {"method": "GET", "path": "/v1/models"})
    with logging_to(stream, "warning"):
        log_request(scope, RequestContext())
    with logging_to(stream, "info"), structlog.contextvars.bound_contextvars(request="r"):
        log_request(scope, RequestContext())
    (line,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (line["event"], line["request"], line["status"]) == ("request ended", "r", None)
    assert logging.getLevelName(logging.INFO).lower() == line["level"]
