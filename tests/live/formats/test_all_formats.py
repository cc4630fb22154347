"""Clients get the same answers, and records are the same, through every wire format.

One server has a provider per format, all of which lead to one simulated provider in another
process. The expected result is that of the in-process simulated provider, which needs no wire.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count, product

import pytest
import trio

from tests.live.disconnects.test_disconnects import (
    BOUND_S,
    POSITIONS,
    Disconnect,
    Position,
    check_record,
    cpu_wait_s,
    format_latencies,
    percentile,
)
from tests.support.live.call_recorder import (
    BASE_PATHS,
    IN_PROCESS,
    RecordedCall,
    TurnRecord,
    record_call,
    serving_all_formats,
)
from tests.support.live.format_parity import CHAT, SCHEMA, TOOL
from tests.support.live.harness import Process, Server, until
from tests.support.live.http_client import JSON, Call, fetch, open_chat, reports
from tests.support.live.sse_frames import read_frames, text_of
from tests.support.sizes import FULL

REPEATS = 100 if FULL else 8
"""Disconnects of each kind."""
RETRY_AFTER_S = 1
"""A `Retry-After` longer than the default backoff, in seconds."""
_numbers = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """Run a server with a provider for each format."""
    with serving_all_formats(tmp_path_factory.mktemp("formats"), upstream.port) as process:
        yield process


@dataclass(frozen=True)
class Case:
    """A request: settings of the simulated model, and parameters of the call."""

    settings: str = ""
    parameters: JSON = field(default_factory=dict)
    not_in: tuple[str, ...] = ()
    """Formats that cannot express the case."""

    @property
    def model(self) -> str:
        """The upstream model, without delays unless the settings define one."""
        timing = "" if "delay" in self.settings else "first=0,delay=1ms"
        return "sim:" + ",".join(filter(None, [timing, self.settings]))


UNICODE_CHAT: list[JSON] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": 'Zażółć "gęślą"\n\tjaźń 👩‍👩‍👧 e\u0301 \u2028 end'},
]
JSON_SCHEMA_FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
ANSWERS = {
    "text": Case("tokens=30"),
    "a flood": Case("tokens=3000,delay=0,chunk=50"),
    "unicode": Case("unicode"),
    "the prompt": Case("echo", {"messages": UNICODE_CHAT}),
    "reasoning": Case("reasoning=3"),
    "a tool": Case("tool", {"tools": [TOOL]}),
    "three tools at once": Case("tool=3,chunk=3", {"tools": [TOOL]}),
    "reasoning and a tool": Case("reasoning=2,tool", {"tools": [TOOL]}),
    "no tool": Case("tool", {"tools": [TOOL], "tool_choice": "none"}),
    "a refusal": Case("refusal"),
    "a filter": Case("filter=3"),
    "a filter before a word": Case("filter=0"),
    "max_tokens": Case("tokens=30", {"max_tokens": 5}),
    "max_completion_tokens": Case("tokens=30", {"max_completion_tokens": 5}),
    "stop": Case("tokens=30", {"stop": ["."]}, ("openai-responses", "responses-ws")),
    "a schema": Case("tokens=30", {"response_format": JSON_SCHEMA_FORMAT}),
    "a chat with an image and a tool": Case("tokens=30", {"messages": CHAT, "tools": [TOOL]}),
    "no usage": Case("nousage"),
    "no end mark": Case("nodone"),
    "a connection kept open": Case("hang"),
    "malformed without text": Case("badjson=3"),
}
FAULTS = {
    "error 500": Case("error=500"),
    "error 400": Case("error=400"),
    "cut": Case("cut=5"),
    "cut before a word": Case("cut=0", not_in=("responses-ws",)),
    "cut inside a frame": Case("break=5"),
    "no finish": Case("end=5"),
    "an error frame": Case("errorframe=5,code=late"),
    "an error frame before a word": Case("errorframe=0,code=late"),
    "malformed with text": Case("torn=5"),
    "HTML": Case("html", not_in=("responses-ws",)),
}
TRANSPORT_ERROR_CODES = {"truncated", "malformed", "server_error"}
"""Codes of errors whose message depends on the transport that detected them."""


async def record_through_all(
    server: Server, case: Case, *, stream: bool
) -> dict[str, RecordedCall]:
    """Run the case through all providers concurrently."""
    result: dict[str, RecordedCall] = {}

    async def run(provider: str) -> None:
        model = f"{provider}/{case.model}"
        result[provider] = await record_call(
            server, model, stream=stream, parameters=case.parameters
        )

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for provider in (IN_PROCESS, *BASE_PATHS):
                if provider not in case.not_in:
                    nursery.start_soon(run, provider)
    return result


def expected_through(format: str, result: RecordedCall) -> RecordedCall:
    """Return the expected result for a format, reduced to what the format can express."""
    record = result.record
    assert record is not None
    if format in ("anthropic", "gemini", "ollama") and result.refusal:
        record = replace(record, text=result.refusal)
        result = replace(result, text=result.refusal, refusal="")
    if format == "ollama":
        result, record = without_ollama_gaps(result, record)
    if result.error is not None:
        result, record = with_error_of_format(format, result, record)
    return replace(result, record=record)


def without_ollama_gaps(
    result: RecordedCall, record: TurnRecord
) -> tuple[RecordedCall, TurnRecord]:
    """Drop reasoning tokens and content filtering, which Ollama's API does not have."""
    if result.usage is not None:
        none = {"reasoning_tokens": 0}
        result = replace(result, usage={**result.usage, "completion_tokens_details": none})
    if result.finish == "content_filter":
        return replace(result, finish="stop"), replace(record, reason="stop")
    return result, record


def with_error_of_format(
    format: str, result: RecordedCall, record: TurnRecord
) -> tuple[RecordedCall, TurnRecord]:
    """Replace the error's code and status by those that the format has instead."""
    error, recorded = result.error, record.error
    assert isinstance(error, dict)
    assert isinstance(recorded, dict)
    other: JSON = {}
    if format in ("anthropic", "ollama") and error["code"] == "late":
        other = {"code": "in_stream_error"}
    if format in ("anthropic", "gemini"):
        attempts = [(r, 500 if r == "in_stream_error" else status) for r, status in record.attempts]
        record = replace(record, attempts=attempts)
    record = replace(record, error={**recorded, **other})
    return replace(result, error={**error, **other}), record


def without_transport_messages(result: RecordedCall) -> RecordedCall:
    """Blank the messages of errors that the transport words, not the provider."""
    record = result.record
    if record is None or result.error is None or result.error["code"] not in TRANSPORT_ERROR_CODES:
        return result
    assert isinstance(record.error, dict)
    record = replace(record, error={**record.error, "message": ""})
    return replace(result, error={**result.error, "message": ""}, record=record)


async def assert_same_for_all(server: Server, case: Case, *, stream: bool) -> RecordedCall:
    """Assert that all formats give the same result; return the in-process one."""
    result = await record_through_all(server, case, stream=stream)
    baseline = result.pop(IN_PROCESS)
    expected = {
        format: without_transport_messages(expected_through(format, baseline)) for format in result
    }
    assert expected.keys() == BASE_PATHS.keys() - set(case.not_in)
    assert {format: without_transport_messages(one) for format, one in result.items()} == expected
    return baseline


@pytest.mark.parametrize("name", ANSWERS)
async def test_answer_is_the_same_through_every_format(server: Server, name: str) -> None:
    streamed = await assert_same_for_all(server, ANSWERS[name], stream=True)
    whole = await assert_same_for_all(server, ANSWERS[name], stream=False)
    assert replace(streamed, warnings=[]) == whole
    assert whole.done
    assert whole.text or whole.refusal or whole.calls or whole.finish == "content_filter"
    assert streamed.warnings == (["malformed_frame"] if "badjson" in ANSWERS[name].settings else [])


@pytest.mark.parametrize("name", FAULTS)
async def test_fault_is_the_same_through_every_format(server: Server, name: str) -> None:
    streamed = await assert_same_for_all(server, FAULTS[name], stream=True)
    whole = await assert_same_for_all(server, FAULTS[name], stream=False)
    assert streamed.error == whole.error is not None
    assert whole.status >= 400
    assert not streamed.done
    assert not whole.done


@pytest.mark.parametrize("format", BASE_PATHS)
async def test_retry_after_is_understood_in_every_format(server: Server, format: str) -> None:
    asked_at = time.monotonic()
    model = f"{format}/v{next(_numbers)}:first=0,delay=1ms,429={RETRY_AFTER_S}"
    result = await record_call(server, model, stream=True, parameters={})
    assert result.done
    assert result.record is not None
    assert result.record.attempts == [("rejected", 429), ("answered", None)]
    assert time.monotonic() - asked_at >= RETRY_AFTER_S


async def test_websocket_that_closes_before_its_first_event_is_refused(server: Server) -> None:
    """Unlike a response head, the upgrade does not show that the provider accepted the call."""
    result = await record_call(server, "responses-ws/v:cut=0", stream=True, parameters={})
    assert result.error is not None
    assert result.error["code"] == "refused"
    assert result.record is not None
    assert result.record.attempts == [("refused", None)] * 2


@pytest.mark.parametrize("format", BASE_PATHS)
async def test_client_receives_exactly_what_was_sent(
    server: Server, upstream: Process, format: str
) -> None:
    model = f"v{next(_numbers)}:first=0,delay=1ms,unicode,tokens=200"
    result = await record_call(server, f"{format}/{model}", stream=True, parameters={})
    (report,) = [one for one in await reports(upstream) if one["model"] == model]
    assert result.text == report["text_sent"]
    assert result.usage is not None
    assert result.usage["completion_tokens"] == report["tokens_sent"] == 200


async def test_ignored_parameters_are_warned_about_or_refused_when_strict(server: Server) -> None:
    case = Case("tokens=5", {"seed": 1, "logit_bias": {"1": 2}})
    result = await record_through_all(server, case, stream=True)
    warned = {format: one.warnings for format, one in result.items()}
    quiet = {IN_PROCESS, "openai-chat"}
    ignored = ["parameter_ignored"]
    assert warned == {format: [] if format in quiet else ignored for format in result}
    assert all(one.done for one in result.values())
    strict = Case(case.settings, {**case.parameters, "strict": True})
    result = await record_through_all(server, strict, stream=True)
    assert {format for format, one in result.items() if one.status == 400} == result.keys() - quiet


async def wait_for_report(upstream: Process, model: str, what: str) -> JSON:
    """Wait until `what` is set in the report of this model's only call; return the report."""

    async def look() -> JSON | None:
        found = [one for one in await reports(upstream) if one["model"] == model]
        return found[0] if found and found[0][what] is not None else None

    report = await until(look)
    assert report is not None
    return report


async def reach_position(position: Position, call: Call, upstream: Process, model: str) -> None:
    """Wait until the call has reached the position."""
    if position.reached is None:
        assert await call.head() == 200
        assert len(await call.frames(3)) >= 3
    else:
        await wait_for_report(upstream, model, position.reached)


async def disconnect_once(
    server: Server, upstream: Process, format: str, position: Position, how: str
) -> Disconnect:
    """Disconnect at this position and check the record."""
    model = f"v{next(_numbers)}:{position.settings}"
    pids = [server.pid, upstream.pid, os.getpid()]
    async with open_chat(server, f"{format}/{model}", stream=position.stream) as call:
        await reach_position(position, call, upstream, model)
        waited = cpu_wait_s(pids)
        left_at = call.disconnect(how)
        report = await wait_for_report(upstream, model, "closed_at")
        waited = cpu_wait_s(pids) - waited
    received = text_of(read_frames(bytes(call.body), allow_partial=True))
    await check_record(server, f"{format}/{model}", position, report, received)
    assert isinstance(report["closed_at"], float)
    return Disconnect(report["closed_at"] - left_at, waited)


DISCONNECTS = [
    *((format, "mid-stream") for format in BASE_PATHS),
    ("responses-ws", "before upstream headers"),
    ("responses-ws", "non-streaming"),
]
"""Formats and positions. `test_disconnects` covers the other positions over HTTP; a WebSocket
upstream has no response head, so "after headers" does not exist for it."""


@pytest.mark.alone
@pytest.mark.parametrize(("format", "name"), DISCONNECTS)
async def test_upstream_closes_within_10_ms_of_a_disconnect(
    server: Server, upstream: Process, format: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await fetch(upstream, "/witness", "DELETE")
    found: list[Disconnect] = []
    for _, how in product(range(REPEATS), ("fin", "rst")):
        found += [await disconnect_once(server, upstream, format, POSITIONS[name], how)]
    with capsys.disabled():
        print(f"\n{format}, {name}: {format_latencies(found)}")  # noqa: T201 (reports the measurement)
    assert percentile(0.99, [disconnect.own_s for disconnect in found]) < BOUND_S
