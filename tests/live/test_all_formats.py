"""A client gets the same through every wire format, and the same is on record of it.

One server has a provider for each format; all of them lead to one simulated provider in another
process, the measure to the one that needs no wire.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count, product

import pytest
import trio

from tests.live.client import JSON, Call, chatting, fetch, reports
from tests.live.frames import read_frames, text_of
from tests.live.harness import FULL, Process, Server, until
from tests.live.hearing import BASE_PATHS, WITHOUT_WIRE, Heard, Outcome, hear, serving_all_formats
from tests.live.parity import CHAT, SCHEMA, TOOL
from tests.live.test_disconnects import (
    BOUND_S,
    POSITIONS,
    Disconnect,
    Position,
    check_record,
    figures,
    p,
    run_queue_wait,
)

EACH = 100 if FULL else 15
"""Disconnects of each kind."""
RETRY_AFTER_S = 1
"""More than is waited where nothing is said."""
_numbers = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """The server."""
    with serving_all_formats(tmp_path_factory.mktemp("formats"), upstream.port) as process:
        yield process


@dataclass(frozen=True)
class Case:
    """What is asked: settings of the simulated model, and parameters of the call."""

    settings: str = ""
    parameters: JSON = field(default_factory=dict)
    not_in: tuple[str, ...] = ()
    """Formats that have no such thing."""

    @property
    def model(self) -> str:
        """The upstream model, quick unless something else is said."""
        timing = "" if "delay" in self.settings else "first=0,delay=1ms"
        return "sim:" + ",".join(filter(None, [timing, self.settings]))


ZAZOLC: list[JSON] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": 'Zażółć "gęślą"\n\tjaźń 👩‍👩‍👧 e\u0301 \u2028 end'},
]
WANTED = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
ANSWERS = {
    "text": Case("tokens=30"),
    "a flood": Case("tokens=3000,delay=0,chunk=50"),
    "unicode": Case("unicode"),
    "the prompt": Case("echo", {"messages": ZAZOLC}),
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
    "a schema": Case("tokens=30", {"response_format": WANTED}),
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
OF_THE_TRANSPORT = {"truncated", "malformed", "server_error"}
"""Codes of errors whose words are those of whoever noticed."""


async def heard_by_all(server: Server, case: Case, *, stream: bool) -> dict[str, Heard]:
    """What is heard through each provider, all asked at once."""
    heard: dict[str, Heard] = {}

    async def listen(provider: str) -> None:
        model = f"{provider}/{case.model}"
        heard[provider] = await hear(server, model, stream=stream, parameters=case.parameters)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for provider in (WITHOUT_WIRE, *BASE_PATHS):
                if provider not in case.not_in:
                    nursery.start_soon(listen, provider)
    return heard


def told_as(format: str, heard: Heard) -> Heard:
    """What is heard where the format says what it can of this."""
    outcome = heard.outcome
    assert outcome is not None
    if format in ("anthropic", "gemini", "ollama") and heard.refusal:
        outcome = replace(outcome, text=heard.refusal)
        heard = replace(heard, text=heard.refusal, refusal="")
    if format == "ollama":
        heard, outcome = without_what_ollama_cannot_say(heard, outcome)
    if heard.error is not None:
        heard, outcome = with_the_error_of(format, heard, outcome)
    return replace(heard, outcome=outcome)


def without_what_ollama_cannot_say(heard: Heard, outcome: Outcome) -> tuple[Heard, Outcome]:
    """It counts no reasoning, and has no filter."""
    if heard.usage is not None:
        none = {"reasoning_tokens": 0}
        heard = replace(heard, usage={**heard.usage, "completion_tokens_details": none})
    if heard.finish == "content_filter":
        return replace(heard, finish="stop"), replace(outcome, reason="stop")
    return heard, outcome


def with_the_error_of(format: str, heard: Heard, outcome: Outcome) -> tuple[Heard, Outcome]:
    """Some have no codes of their own, some tell a status in a stream, too, or their own type."""
    error, recorded = heard.error, outcome.error
    assert isinstance(error, dict)
    assert isinstance(recorded, dict)
    other: JSON = {}
    if format in ("anthropic", "ollama") and error["code"] == "late":
        other = {"code": "in_stream_error"}
    if format == "gemini" and error["type"] == "invalid_request_error":
        other = {"type": "INVALID_ARGUMENT"}
    if format in ("anthropic", "gemini"):
        told = [(r, 500 if r == "in_stream_error" else status) for r, status in outcome.attempts]
        outcome = replace(outcome, attempts=told)
    outcome = replace(outcome, error={**recorded, **other})
    return replace(heard, error={**error, **other}), outcome


def in_any_words(heard: Heard) -> Heard:
    """Without the words of errors that are not the provider's."""
    outcome = heard.outcome
    if outcome is None or heard.error is None or heard.error["code"] not in OF_THE_TRANSPORT:
        return heard
    assert isinstance(outcome.error, dict)
    outcome = replace(outcome, error={**outcome.error, "message": ""})
    return replace(heard, error={**heard.error, "message": ""}, outcome=outcome)


async def assert_same_for_all(server: Server, case: Case, *, stream: bool) -> Heard:
    """Every format tells the same; returns what is told without one."""
    heard = await heard_by_all(server, case, stream=stream)
    measure = heard.pop(WITHOUT_WIRE)
    expected = {format: in_any_words(told_as(format, measure)) for format in heard}
    assert expected.keys() == BASE_PATHS.keys() - set(case.not_in)
    assert {format: in_any_words(one) for format, one in heard.items()} == expected
    return measure


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_is_the_same_through_every_format(server: Server, name: str) -> None:
    streamed = await assert_same_for_all(server, ANSWERS[name], stream=True)
    whole = await assert_same_for_all(server, ANSWERS[name], stream=False)
    assert replace(streamed, warnings=[]) == whole
    assert whole.done
    assert whole.text or whole.refusal or whole.calls or whole.finish == "content_filter"
    assert streamed.warnings == (["malformed_frame"] if "badjson" in ANSWERS[name].settings else [])


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_the_same_through_every_format(server: Server, name: str) -> None:
    streamed = await assert_same_for_all(server, FAULTS[name], stream=True)
    whole = await assert_same_for_all(server, FAULTS[name], stream=False)
    assert streamed.error == whole.error is not None
    assert whole.status >= 400
    assert not streamed.done
    assert not whole.done


@pytest.mark.parametrize("format", BASE_PATHS)
async def test_every_format_tells_when_to_come_back(server: Server, format: str) -> None:
    asked_at = time.monotonic()
    model = f"{format}/v{next(_numbers)}:first=0,delay=1ms,429={RETRY_AFTER_S}"
    heard = await hear(server, model, stream=True, parameters={})
    assert heard.done
    assert heard.outcome is not None
    assert heard.outcome.attempts == [("rejected", 429), ("answered", None)]
    assert time.monotonic() - asked_at >= RETRY_AFTER_S


async def test_a_socket_that_closes_before_the_first_event_was_never_open(server: Server) -> None:
    """Its upgrade says nothing of the call, as the head of a response does."""
    heard = await hear(server, "responses-ws/v:cut=0", stream=True, parameters={})
    assert heard.error is not None
    assert heard.error["code"] == "refused"
    assert heard.outcome is not None
    assert heard.outcome.attempts == [("refused", None)] * 2


@pytest.mark.parametrize("format", BASE_PATHS)
async def test_what_the_client_has_is_what_was_sent(
    server: Server, upstream: Process, format: str
) -> None:
    model = f"v{next(_numbers)}:first=0,delay=1ms,unicode,tokens=200"
    heard = await hear(server, f"{format}/{model}", stream=True, parameters={})
    (report,) = [one for one in await reports(upstream) if one["model"] == model]
    assert heard.text == report["text_sent"]
    assert heard.usage is not None
    assert heard.usage["completion_tokens"] == report["tokens_sent"] == 200


async def test_what_a_format_cannot_say_is_told(server: Server) -> None:
    image: JSON = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    question: list[JSON] = [{"role": "user", "content": [{"type": "text", "text": "Who?"}, image]}]
    case = Case("tokens=5", {"messages": question, "seed": 1, "logit_bias": {"1": 2}})
    heard = await heard_by_all(server, case, stream=True)
    warned = {format: one.warnings for format, one in heard.items()}
    quiet = {WITHOUT_WIRE, "openai-chat"}
    ignored = ["parameter_ignored"]
    assert warned == {format: [] if format in quiet else ignored for format in heard}
    assert all(one.done for one in heard.values())
    strict = Case(case.settings, {**case.parameters, "strict": True})
    heard = await heard_by_all(server, strict, stream=True)
    assert {format for format, one in heard.items() if one.status == 400} == heard.keys() - quiet


async def seen(upstream: Process, model: str, what: str) -> JSON:
    """The witness's report of the one call of a model, once `what` has its time."""

    async def look() -> JSON | None:
        found = [one for one in await reports(upstream) if one["model"] == model]
        return found[0] if found and found[0][what] is not None else None

    report = await until(look)
    assert report is not None
    return report


async def reach(position: Position, call: Call, upstream: Process, model: str) -> None:
    """Wait until the call has come to the place."""
    if position.reached is None:
        assert await call.head() == 200
        assert len(await call.frames(3)) >= 3
    else:
        await seen(upstream, model, position.reached)


async def leave_once(
    server: Server, upstream: Process, format: str, position: Position, how: str
) -> Disconnect:
    """Leave at this place, and check the record."""
    model = f"v{next(_numbers)}:{position.settings}"
    pids = [server.pid, upstream.pid, os.getpid()]
    async with chatting(server, f"{format}/{model}", stream=position.stream) as call:
        await reach(position, call, upstream, model)
        waited = run_queue_wait(pids)
        left_at = call.leave(how)
        report = await seen(upstream, model, "closed_at")
        waited = run_queue_wait(pids) - waited
    received = text_of(read_frames(bytes(call.body), cut=True))
    await check_record(server, f"{format}/{model}", position, report, received)
    assert isinstance(report["closed_at"], float)
    return Disconnect(report["closed_at"] - left_at, waited)


LEFT = [
    *((format, "mid-stream") for format in BASE_PATHS),
    ("responses-ws", "before upstream headers"),
    ("responses-ws", "non-streaming"),
]
"""HTTP has its other places in `test_disconnects`; a WebSocket has no head of its own."""


@pytest.mark.parametrize(("format", "name"), LEFT)
async def test_upstream_closes_within_ten_milliseconds(
    server: Server, upstream: Process, format: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await fetch(upstream, "/witness", "DELETE")
    found: list[Disconnect] = []
    for _, how in product(range(EACH), ("fin", "rst")):
        found += [await leave_once(server, upstream, format, POSITIONS[name], how)]
    with capsys.disabled():
        print(f"\n{format}, {name}: {figures(found)}")  # noqa: T201 (what the test is for)
    assert p(0.99, [disconnect.ours_s for disconnect in found]) < BOUND_S
