"""A Trouper whose provider is another Trouper, over Responses and a WebSocket.

What a client hears through both is what it hears from the second alone.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, product
from pathlib import Path

import pytest

from tests.live import harness
from tests.live.client import JSON, chatting, fetch, live_turns
from tests.live.frames import read_frames, text_of
from tests.live.harness import FULL, Process, Server, until
from tests.live.hearing import WITHOUT_WIRE, Heard, hear, serving_all_formats
from tests.live.socketing import conversing, text_in
from tests.live.test_all_formats import ANSWERS, FAULTS, in_any_words
from tests.live.test_disconnects import (
    BOUND_S,
    POSITIONS,
    Disconnect,
    figures,
    p,
    run_queue_wait,
    seen,
)

EACH = 50 if FULL else 10
"""Disconnects of each kind."""
FORMATS = ("responses-ws", "openai-responses")
_FRONT = """
[providers.{format}]
format = "{format}"
base_url = "http://127.0.0.1:{port}/v1"
"""
_SERVICE = """
[store]
url = "sqlite:///{directory}/trouper.db"
[breaker]
failures = 1000
[server]
bind = "127.0.0.1:0"
grace_s = 0
drain_s = 1
"""
_numbers = count(1)


@dataclass(frozen=True)
class Pair:
    """Both servers."""

    front: Server
    back: Server


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Pair]:
    """Two servers, one behind the other."""
    back_directory = tmp_path_factory.mktemp("back")
    with serving_all_formats(back_directory, upstream.port) as back:
        directory = tmp_path_factory.mktemp("front")
        with harness.serving(directory, front_config(directory, back.port)) as front:
            yield Pair(front, back)


def front_config(directory: Path, port: int) -> Path:
    """A configuration whose providers are the server behind it."""
    config = directory / "trouper.toml"
    providers = [_FRONT.format(format=format, port=port) for format in FORMATS]
    config.write_text("".join([_SERVICE.format(directory=directory), *providers]))
    return config


SAYABLE = sorted(ANSWERS.keys() - {"stop", "no usage"})
"""Responses has no stop sequences, and does not say that usage is an estimate."""


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", SAYABLE)
async def test_answers_are_the_same(pair: Pair, format: str, name: str, stream: bool) -> None:
    case = ANSWERS[name]
    behind = f"{WITHOUT_WIRE}/{case.model}"
    alone = await hear(pair.back, behind, stream=stream, parameters=case.parameters)
    through = await hear(
        pair.front, f"{format}/{behind}", stream=stream, parameters=case.parameters
    )
    assert bare(through) == bare(alone)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", FAULTS)
async def test_faults_are_the_same(pair: Pair, format: str, name: str, stream: bool) -> None:
    case = FAULTS[name]
    behind = f"{WITHOUT_WIRE}/{case.model}"
    alone = await hear(pair.back, behind, stream=stream, parameters=case.parameters)
    through = await hear(
        pair.front, f"{format}/{behind}", stream=stream, parameters=case.parameters
    )
    assert (through.status, through.text, through.done) == (alone.status, alone.text, False)
    assert told_as_a_response(through.error, alone.error)


def told_as_a_response(told: JSON | None, error: JSON | None) -> bool:
    """Responses has few codes for failures in a stream; ours stand behind the words."""
    if told is None or error is None:
        return False
    if told["code"] == error["code"]:
        return told == error
    return told["message"] == f"{error['message']} ({error['code']})"


def bare(heard: Heard) -> Heard:
    """What a Responses stream says."""
    return replace(in_any_words(heard), warnings=[])


@pytest.mark.parametrize("format", FORMATS)
async def test_when_to_come_back_is_handed_on(pair: Pair, format: str) -> None:
    model = f"{format}/{WITHOUT_WIRE}/sim:error=429,retry=40"
    async with chatting(pair.front, model) as call:
        assert await call.head() == 429
        assert 35 < int(call.headers["retry-after"]) <= 40
        assert b'"code":"rate_limit_exceeded"' in await call.rest()


async def test_a_conversation_through_both(pair: Pair) -> None:
    model = f"responses-ws/{WITHOUT_WIRE}/sim:delay=0,tool"
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    async with conversing(pair.front, model) as socket:
        first = await socket.respond(tools=[tool], store=False)
        (call,) = [item for item in first["output"] if item["type"] == "function_call"]
        given = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
        second = await socket.respond(
            input=[given], tools=[tool], previous_response_id=first["id"], store=False
        )
        assert text_in(second).startswith("The tool says: sunny")


@pytest.mark.parametrize("format", FORMATS)
async def test_who_leaves_the_first_leaves_both(
    pair: Pair, upstream: Process, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        await leave_once(pair, upstream, format, how)
        for _, how in product(range(EACH), ("fin", "rst"))
    ]
    with capsys.disabled():
        print(f"\nbehind {format}: {figures(found)}")  # noqa: T201 (what the test is for)
    assert p(0.99, [disconnect.ours_s for disconnect in found]) < 2 * BOUND_S
    await until(lambda: nobody_plays(pair.back))
    _, page = await fetch(pair.back, f"/v1/turns?limit={len(found)}")
    assert isinstance(page["data"], list)
    assert {turn["reason"] for turn in page["data"]} == {"client_disconnected"}


async def nobody_plays(server: Server) -> bool:
    return await live_turns(server) == 0


async def leave_once(pair: Pair, upstream: Process, format: str, how: str) -> Disconnect:
    """Leave in the middle of an answer that comes through both."""
    user = f"behind-{next(_numbers)}"
    model = f"{format}/openai-chat/v:{POSITIONS['mid-stream'].settings}"
    pids = [pair.front.pid, pair.back.pid, upstream.pid, os.getpid()]
    async with chatting(pair.front, model, user=user) as call:
        assert await call.head() == 200
        await call.frames(3)
        waited = run_queue_wait(pids)
        left_at = call.leave(how)
        report = await seen(upstream, user, "closed_at")
        waited = run_queue_wait(pids) - waited
    assert str(report["text_sent"]).startswith(text_of(read_frames(bytes(call.body), cut=True)))
    assert isinstance(report["closed_at"], float)
    return Disconnect(report["closed_at"] - left_at, waited)
