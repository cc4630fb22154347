"""Trouper as a provider of another Trouper, over Responses on HTTP and WebSocket.

A client receives the same through both servers as from the second one directly.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, product
from pathlib import Path

import pytest

from tests.live.disconnects.test_disconnects import (
    BOUND_S,
    POSITIONS,
    Disconnect,
    cpu_wait_s,
    format_latencies,
    percentile,
    wait_for_report,
)
from tests.live.formats.test_all_formats import ANSWERS, FAULTS, without_transport_messages
from tests.support.live import harness
from tests.support.live.call_recorder import (
    IN_PROCESS,
    RecordedCall,
    record_call,
    serving_all_formats,
)
from tests.support.live.harness import Process, Server, until
from tests.support.live.http_client import JSON, fetch, live_turns, open_chat
from tests.support.live.sse_frames import read_frames, text_of
from tests.support.live.websocket_client import open_socket, text_in
from tests.support.sizes import FULL

REPEATS = 50 if FULL else 8
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
minimum_requests = 1000
[server]
bind = "127.0.0.1:0"
grace_s = 0
drain_s = 1
"""
_numbers = count(1)


@dataclass(frozen=True)
class Pair:
    """The server that clients use, and the one that is its provider."""

    front: Server
    back: Server


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Pair]:
    """Run two servers, the second of which is the provider of the first."""
    back_directory = tmp_path_factory.mktemp("back")
    with serving_all_formats(back_directory, upstream.port) as back:
        directory = tmp_path_factory.mktemp("front")
        with harness.serving(directory, front_config(directory, back.port)) as front:
            yield Pair(front, back)


def front_config(directory: Path, port: int) -> Path:
    """Write a configuration whose providers are the other server; return its path."""
    config = directory / "trouper.toml"
    providers = [_FRONT.format(format=format, port=port) for format in FORMATS]
    config.write_text("".join([_SERVICE.format(directory=directory), *providers]))
    return config


WAYS = list(product(FORMATS, [True, False]))


def pairs(names: list[str]) -> list[tuple[str, str, bool]]:
    """Return names with formats and streaming: all pairs, and under soak all combinations."""
    return [
        (name, format, stream)
        for number, name in enumerate(names)
        for at, (format, stream) in enumerate(WAYS)
        if FULL or at in ((0, 3) if number % 2 else (1, 2))
    ]


EXPRESSIBLE = sorted(ANSWERS.keys() - {"stop", "no usage"})
"""Cases that Responses can express: it has no stop sequences and cannot mark usage as
estimated."""


@pytest.mark.parametrize(("name", "format", "stream"), pairs(EXPRESSIBLE))
async def test_answers_are_the_same_through_both(
    pair: Pair, format: str, name: str, stream: bool
) -> None:
    case = ANSWERS[name]
    back_model = f"{IN_PROCESS}/{case.model}"
    direct = await record_call(pair.back, back_model, stream=stream, parameters=case.parameters)
    through = await record_call(
        pair.front, f"{format}/{back_model}", stream=stream, parameters=case.parameters
    )
    assert comparable(through) == comparable(direct)


@pytest.mark.parametrize(("name", "format", "stream"), pairs(list(FAULTS)))
async def test_faults_are_the_same_through_both(
    pair: Pair, format: str, name: str, stream: bool
) -> None:
    case = FAULTS[name]
    back_model = f"{IN_PROCESS}/{case.model}"
    direct = await record_call(pair.back, back_model, stream=stream, parameters=case.parameters)
    through = await record_call(
        pair.front, f"{format}/{back_model}", stream=stream, parameters=case.parameters
    )
    assert (through.status, through.text, through.done) == (direct.status, direct.text, False)
    assert same_error_in_responses(through.error, direct.error)


def same_error_in_responses(received: JSON | None, error: JSON | None) -> bool:
    """Compare an error with its form in a Responses stream.

    Responses has few codes for failures in a stream, so the code may follow the message in
    parentheses instead.
    """
    if received is None or error is None:
        return False
    if received["code"] == error["code"]:
        return received == error
    return received["message"] == f"{error['message']} ({error['code']})"


def comparable(result: RecordedCall) -> RecordedCall:
    """Drop what a Responses stream does not carry."""
    return replace(without_transport_messages(result), warnings=[])


@pytest.mark.parametrize("format", FORMATS)
async def test_retry_after_is_passed_through(pair: Pair, format: str) -> None:
    model = f"{format}/{IN_PROCESS}/sim:error=429,retry=40"
    async with open_chat(pair.front, model) as call:
        assert await call.head() == 429
        assert 35 < int(call.headers["retry-after"]) <= 40
        assert b'"code":"rate_limit_exceeded"' in await call.read_all()


async def test_conversation_with_a_tool_through_both(pair: Pair) -> None:
    model = f"responses-ws/{IN_PROCESS}/sim:delay=0,tool"
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    async with open_socket(pair.front, model) as socket:
        first = await socket.respond(tools=[tool], store=False)
        (call,) = [item for item in first["output"] if item["type"] == "function_call"]
        given = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
        second = await socket.respond(
            input=[given], tools=[tool], previous_response_id=first["id"], store=False
        )
        assert text_in(second).startswith("The tool says: sunny")


@pytest.mark.alone
@pytest.mark.parametrize("format", FORMATS)
async def test_disconnect_ends_the_turns_of_both(
    pair: Pair, upstream: Process, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        await disconnect_once(pair, upstream, format, how)
        for _, how in product(range(REPEATS), ("fin", "rst"))
    ]
    with capsys.disabled():
        print(f"\nbehind {format}: {format_latencies(found)}")  # noqa: T201 (reports the measurement)
    assert percentile(0.99, [disconnect.own_s for disconnect in found]) < 2 * BOUND_S
    await until(lambda: no_live_turns(pair.back))
    _, page = await fetch(pair.back, f"/v1/turns?limit={len(found)}")
    assert isinstance(page["data"], list)
    assert {turn["reason"] for turn in page["data"]} == {"client_disconnected"}


async def no_live_turns(server: Server) -> bool:
    return await live_turns(server) == 0


async def disconnect_once(pair: Pair, upstream: Process, format: str, how: str) -> Disconnect:
    """Disconnect in the middle of an answer through both servers."""
    user = f"behind-{next(_numbers)}"
    model = f"{format}/openai-chat/v:{POSITIONS['mid-stream'].settings}"
    pids = [pair.front.pid, pair.back.pid, upstream.pid, os.getpid()]
    async with open_chat(pair.front, model, user=user) as call:
        assert await call.head() == 200
        await call.frames(3)
        waited = cpu_wait_s(pids)
        left_at = call.disconnect(how)
        report = await wait_for_report(upstream, user, "closed_at")
        waited = cpu_wait_s(pids) - waited
    assert str(report["text_sent"]).startswith(
        text_of(read_frames(bytes(call.body), allow_partial=True))
    )
    assert isinstance(report["closed_at"], float)
    return Disconnect(report["closed_at"] - left_at, waited)
