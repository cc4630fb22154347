"""Every end of docs/reference/outcomes.md, made to happen and told by every surface as it was."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from actors.chunks import FinishChunk, ToolCallChunk
from actors.outcome import STATUS_OF, TERMINAL, Reason
from actors.providers.base import FailureKind, UpstreamFailure
from tests.actors.fakes import FOREVER, Line, ScriptedProvider, stop, text
from tests.web.house import House, asking, open_house

SAID: list[Line] = [text("Hel"), text("lo")]
SLOWLY: list[Line] = [15.0, text(".")]
CALL = ToolCallChunk(0, "call_a", "weather", "{}")
OURS = {
    Reason.STOP: "completed",
    Reason.TOOL_CALLS: "completed",
    Reason.LENGTH: "incomplete",
    Reason.SIZE_LIMIT: "incomplete",
    Reason.CONTENT_FILTER: "incomplete",
    Reason.CANCEL_REQUESTED: "cancelled",
}
"""What a response's status is; all others have failed."""
FINISHES = {
    Reason.STOP: ("stop", "end_turn"),
    Reason.TOOL_CALLS: ("tool_calls", "tool_use"),
    Reason.LENGTH: ("length", "max_tokens"),
    Reason.SIZE_LIMIT: ("length", "max_tokens"),
    Reason.CONTENT_FILTER: ("content_filter", "refusal"),
}
"""How Chat Completions and Messages call ends that are no errors."""


async def cancel(house: House) -> None:
    answer = await house.post("/v1/turns/turn_1/cancel")
    assert answer.status_code == 200


async def shut_down(house: House) -> None:
    house.registry.stop_all(Reason.SERVER_SHUTDOWN)


@dataclass(frozen=True)
class Way:
    """How a turn comes to its end, and the code of the error that this is."""

    reason: Reason
    lines: list[Line]
    code: str | None = None
    act: Callable[[House], Awaitable[None]] | None = None
    turns: dict[str, object] = field(default_factory=dict)


def finishing(reason: Reason, *before: Line) -> Way:
    return Way(reason, [*SAID, *before, [FinishChunk(reason)]])


WAYS = {
    "stop": Way(Reason.STOP, [*SAID, stop()]),
    "length": finishing(Reason.LENGTH),
    "tool calls": finishing(Reason.TOOL_CALLS, [CALL]),
    "content filter": finishing(Reason.CONTENT_FILTER),
    "size limit": Way(Reason.SIZE_LIMIT, [*SAID, text("x" * 2000), stop()]),
    "truncated": Way(Reason.UPSTREAM_TRUNCATED, SAID, "truncated"),
    "an error in the stream": Way(
        Reason.UPSTREAM_ERROR,
        [*SAID, UpstreamFailure(FailureKind.IN_STREAM_ERROR, "out of order")],
        "in_stream_error",
    ),
    "silence": Way(Reason.UPSTREAM_TIMEOUT, [*SAID, FOREVER], "idle_timeout"),
    "time budget": Way(Reason.TIME_BUDGET, [*SAID, *SLOWLY * 60], "time_budget"),
    "cancelled": Way(Reason.CANCEL_REQUESTED, [*SAID, FOREVER], "cancel_requested", cancel),
    "shutdown": Way(Reason.SERVER_SHUTDOWN, [*SAID, FOREVER], "server_shutdown", shut_down),
    "a bug": Way(Reason.INTERNAL_ERROR, [*SAID, ValueError("a bug")], "internal"),
}
ASKED: dict[str, dict[str, object]] = {
    "/v1/chat/completions": asking(),
    "/v1/responses": {"model": "large", "input": "Hi"},
    "/v1/messages": {"model": "large", "max_tokens": 99, "messages": asking()["messages"]},
}


async def played(way: Way, path: str, *, stream: bool) -> tuple[House, httpx.Response]:
    """The house after a turn that came to its end like this, and what its client got."""
    async with (
        open_house(ScriptedProvider(*way.lines), turns={"max_answer_bytes": 1024}) as house,
        trio.open_nursery() as nursery,
    ):
        if way.act is not None:
            nursery.start_soon(_act_after_a_moment, house, way.act)
        answer = await house.post(path, json=ASKED[path] | {"stream": stream})
    return house, answer


async def _act_after_a_moment(house: House, act: Callable[[House], Awaitable[None]]) -> None:
    await trio.sleep(1)
    await act(house)


def last_events(stream: bytes) -> list[tuple[str | None, Any]]:
    """Names and data of all events, in order."""
    events = []
    for block in stream.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and line[0] != ":")
        if "data" in fields:
            data = fields["data"]
            events.append((fields.get("event"), data if data == "[DONE]" else json.loads(data)))
    return events


@pytest.mark.parametrize("name", WAYS)
async def test_by_chat_completions(autojump_clock: MockClock, name: str) -> None:
    way = WAYS[name]
    house, answer = await played(way, "/v1/chat/completions", stream=True)
    stream = answer.content
    assert house.theatre.record.reason == way.reason.value
    *_, (_, last) = last_events(stream)
    if way.reason in FINISHES:
        finishes = [data["choices"][0]["finish_reason"] for _, data in last_events(stream)[:-1]]
        assert (last, finishes[-1]) == ("[DONE]", FINISHES[way.reason][0])
    else:
        assert last["error"]["code"] == way.code


@pytest.mark.parametrize("name", WAYS)
async def test_by_responses(autojump_clock: MockClock, name: str) -> None:
    way = WAYS[name]
    house, answer = await played(way, "/v1/responses", stream=True)
    stream = answer.content
    assert house.theatre.record.reason == way.reason.value
    *_, (event, data) = last_events(stream)
    response, status = data["response"], OURS.get(way.reason, "failed")
    assert event == ("response.failed" if status == "cancelled" else f"response.{status}")
    assert response["status"] == status
    assert (response["error"] is None) == (status != "failed")
    if status == "failed":
        assert str(way.code) in response["error"]["message"]


@pytest.mark.parametrize("name", WAYS)
async def test_by_messages(autojump_clock: MockClock, name: str) -> None:
    way = WAYS[name]
    house, answer = await played(way, "/v1/messages", stream=True)
    stream = answer.content
    assert house.theatre.record.reason == way.reason.value
    events = last_events(stream)
    event, last = events[-1]
    if way.reason in FINISHES:
        assert event == "message_stop"
        assert events[-2][1]["delta"]["stop_reason"] == FINISHES[way.reason][1]
    else:
        assert event == "error"
        assert str(way.code) in last["error"]["message"]


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("name", WAYS)
async def test_whole(autojump_clock: MockClock, name: str, path: str) -> None:
    way = WAYS[name]
    house, answer = await played(way, path, stream=False)
    assert house.theatre.record.reason == way.reason.value
    document = answer.json()
    if way.reason in FINISHES:
        assert (answer.status_code, document.get("error")) == (200, None)
    else:
        assert answer.status_code >= 400
        assert document["error"]["message"]
        final = way.reason is Reason.CANCEL_REQUESTED
        assert answer.headers.get("x-should-retry") == ("false" if final else None)


def test_no_reason_is_left_out() -> None:
    nobody_there = {Reason.CLIENT_DISCONNECTED, Reason.OWNER_LOST}
    before_a_head = {
        Reason.UPSTREAM_UNREACHABLE,
        Reason.UPSTREAM_REJECTED,
        Reason.STORE_UNAVAILABLE,
    }
    made = {way.reason for way in WAYS.values()}
    assert made | nobody_there | before_a_head | {Reason.GUARD_BLOCKED} == set(Reason)
    assert all(STATUS_OF[reason] in TERMINAL for reason in made)
