"""Every end in docs/reference/outcomes.md, provoked and reported truthfully by every surface."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from actors.turn.chunks import FinishChunk, ToolCallChunk
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import STATUS_OF, TERMINAL, Reason
from tests.support.edge_harness import EdgeHarness, chat_body, open_harness
from tests.support.turn_fakes import FOREVER, Line, ScriptedProvider, stop, text

HELLO: list[Line] = [text("Hel"), text("lo")]
SLOWLY: list[Line] = [15.0, text(".")]
CALL = ToolCallChunk(0, "call_a", "weather", "{}")
RESPONSE_STATUSES = {
    Reason.STOP: "completed",
    Reason.TOOL_CALLS: "completed",
    Reason.PAUSE_TURN: "completed",
    Reason.LENGTH: "incomplete",
    Reason.SIZE_LIMIT: "incomplete",
    Reason.CONTENT_FILTER: "incomplete",
    Reason.CANCEL_REQUESTED: "cancelled",
}
"""Response status by reason; all other reasons are `failed`."""
FINISH_REASONS = {
    Reason.STOP: ("stop", "end_turn"),
    Reason.TOOL_CALLS: ("tool_calls", "tool_use"),
    Reason.LENGTH: ("length", "max_tokens"),
    Reason.SIZE_LIMIT: ("length", "max_tokens"),
    Reason.CONTENT_FILTER: ("content_filter", "refusal"),
    Reason.PAUSE_TURN: ("stop", "pause_turn"),
}
"""Names in Chat Completions and Messages of the ends that are not errors."""


async def cancel(harness: EdgeHarness) -> None:
    answer = await harness.post("/v1/turns/turn_1/cancel")
    assert answer.status_code == 200


async def shut_down(harness: EdgeHarness) -> None:
    harness.registry.stop_all(Reason.SERVER_SHUTDOWN)


@dataclass(frozen=True)
class Way:
    """A way for a turn to end, with the code of the resulting error."""

    reason: Reason
    lines: list[Line]
    code: str | None = None
    act: Callable[[EdgeHarness], Awaitable[None]] | None = None
    turns: dict[str, object] = field(default_factory=dict)


def finishing(reason: Reason, *before: Line) -> Way:
    return Way(reason, [*HELLO, *before, [FinishChunk(reason)]])


WAYS = {
    "stop": Way(Reason.STOP, [*HELLO, stop()]),
    "length": finishing(Reason.LENGTH),
    "tool calls": finishing(Reason.TOOL_CALLS, [CALL]),
    "content filter": finishing(Reason.CONTENT_FILTER),
    "pause": finishing(Reason.PAUSE_TURN),
    "size limit": Way(Reason.SIZE_LIMIT, [*HELLO, text("x" * 2000), stop()]),
    "truncated": Way(Reason.UPSTREAM_TRUNCATED, HELLO, "truncated"),
    "an error in the stream": Way(
        Reason.UPSTREAM_ERROR,
        [*HELLO, UpstreamFailure(FailureKind.IN_STREAM_ERROR, "out of order")],
        "in_stream_error",
    ),
    "silence": Way(Reason.UPSTREAM_TIMEOUT, [*HELLO, FOREVER], "idle_timeout"),
    "time budget": Way(Reason.TIME_BUDGET, [*HELLO, *SLOWLY * 60], "time_budget"),
    "cancelled": Way(Reason.CANCEL_REQUESTED, [*HELLO, FOREVER], "cancel_requested", cancel),
    "shutdown": Way(Reason.SERVER_SHUTDOWN, [*HELLO, FOREVER], "server_shutdown", shut_down),
    "a bug": Way(Reason.INTERNAL_ERROR, [*HELLO, ValueError("a bug")], "internal"),
}
BODIES: dict[str, dict[str, object]] = {
    "/v1/chat/completions": chat_body(),
    "/v1/responses": {"model": "large", "input": "Hi"},
    "/v1/messages": {"model": "large", "max_tokens": 99, "messages": chat_body()["messages"]},
}


async def run_turn(way: Way, path: str, *, stream: bool) -> tuple[EdgeHarness, httpx.Response]:
    """Run a turn that ends this way; return the harness and the client's response."""
    async with (
        open_harness(ScriptedProvider(*way.lines), turns={"max_answer_bytes": 1024}) as harness,
        trio.open_nursery() as nursery,
    ):
        if way.act is not None:
            nursery.start_soon(_act_later, harness, way.act)
        answer = await harness.post(path, json=BODIES[path] | {"stream": stream})
    return harness, answer


async def _act_later(harness: EdgeHarness, act: Callable[[EdgeHarness], Awaitable[None]]) -> None:
    await trio.sleep(1)
    await act(harness)


def events_of(stream: bytes) -> list[tuple[str | None, Any]]:
    """Return names and data of all events, in order."""
    events = []
    for block in stream.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and line[0] != ":")
        if "data" in fields:
            data = fields["data"]
            events.append((fields.get("event"), data if data == "[DONE]" else json.loads(data)))
    return events


@pytest.mark.parametrize("name", WAYS)
async def test_chat_completions_report_the_end(autojump_clock: MockClock, name: str) -> None:
    way = WAYS[name]
    harness, answer = await run_turn(way, "/v1/chat/completions", stream=True)
    stream = answer.content
    assert harness.turns.record.reason == way.reason.value
    *_, (_, last) = events_of(stream)
    if way.reason in FINISH_REASONS:
        finishes = [data["choices"][0]["finish_reason"] for _, data in events_of(stream)[:-1]]
        assert (last, finishes[-1]) == ("[DONE]", FINISH_REASONS[way.reason][0])
    else:
        assert last["error"]["code"] == way.code


@pytest.mark.parametrize("name", WAYS)
async def test_responses_report_the_end(autojump_clock: MockClock, name: str) -> None:
    way = WAYS[name]
    harness, answer = await run_turn(way, "/v1/responses", stream=True)
    stream = answer.content
    assert harness.turns.record.reason == way.reason.value
    *_, (event, data), (_, done) = events_of(stream)
    assert done == "[DONE]"
    response, status = data["response"], RESPONSE_STATUSES.get(way.reason, "failed")
    assert event == ("response.failed" if status == "cancelled" else f"response.{status}")
    assert response["status"] == status
    assert (response["error"] is None) == (status != "failed")
    if status == "failed":
        assert str(way.code) in response["error"]["message"]


@pytest.mark.parametrize("name", WAYS)
async def test_messages_report_the_end(autojump_clock: MockClock, name: str) -> None:
    way = WAYS[name]
    harness, answer = await run_turn(way, "/v1/messages", stream=True)
    stream = answer.content
    assert harness.turns.record.reason == way.reason.value
    events = events_of(stream)
    event, last = events[-1]
    if way.reason in FINISH_REASONS:
        assert event == "message_stop"
        assert events[-2][1]["delta"]["stop_reason"] == FINISH_REASONS[way.reason][1]
    else:
        assert event == "error"
        assert str(way.code) in last["error"]["message"]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("name", WAYS)
async def test_non_streaming_answers_report_the_end(
    autojump_clock: MockClock, name: str, path: str
) -> None:
    way = WAYS[name]
    harness, answer = await run_turn(way, path, stream=False)
    assert harness.turns.record.reason == way.reason.value
    document = answer.json()
    if way.reason in FINISH_REASONS:
        assert (answer.status_code, document.get("error")) == (200, None)
    else:
        assert answer.status_code >= 400
        assert document["error"]["message"]
        final = way.reason is Reason.CANCEL_REQUESTED
        assert answer.headers.get("x-should-retry") == ("false" if final else None)


def test_every_reason_is_covered() -> None:
    without_client = {Reason.CLIENT_DISCONNECTED, Reason.OWNER_LOST}
    before_content = {
        Reason.UPSTREAM_UNREACHABLE,
        Reason.UPSTREAM_REJECTED,
        Reason.STORE_UNAVAILABLE,
    }
    made = {way.reason for way in WAYS.values()}
    assert made | without_client | before_content | {
        Reason.GUARD_BLOCKED,
        Reason.GUARD_REJECTED,
    } == set(Reason)
    assert all(STATUS_OF[reason] in TERMINAL for reason in made)
