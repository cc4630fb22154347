"""A crash while a turn is finalised: every reader still gets an end, in every dialect."""

import json

import pytest
from trio.testing import MockClock

from actors.finalisation.outcome_decision import TurnEnding
from actors.turn.state import Turn
from tests.support.edge_harness import chat_body, open_harness
from tests.support.responses_requests import HELLO
from tests.support.responses_socket import serve_sockets
from tests.support.turn_fakes import ScriptedProvider, stop, text

BODIES: dict[str, dict[str, object]] = {
    "/v1/chat/completions": chat_body(),
    "/v1/messages": chat_body(max_tokens=99),
    "/v1/responses": {"model": "large", "input": "Hi"},
}


class Bug(Exception):
    pass


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    def crash(*_: object) -> None:
        raise Bug

    monkeypatch.setattr(TurnEnding, "ended", crash)
    return monkeypatch


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.usefixtures("crashing")
async def test_non_streaming_client_gets_an_error(autojump_clock: MockClock, path: str) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        answer = await harness.post(path, json=BODIES[path])
        assert answer.status_code == 500
        message = answer.json()["error"]["message"]
        assert message.startswith("Internal error while processing the request.")
        assert answer.headers["X-Turn-Stored"] == "unsaved"
        assert any(isinstance(crash, Bug) for crash in harness.turns.observer.crashes)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.usefixtures("crashing")
async def test_streaming_client_gets_a_last_event(autojump_clock: MockClock, path: str) -> None:
    async with open_harness(ScriptedProvider(text("a"), 1.0, stop())) as harness:
        answer = await harness.post(path, json=BODIES[path] | {"stream": True})
        assert answer.status_code == 200
        last = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")][-1]
        assert "Internal error while processing the request." in json.dumps(json.loads(last))
        assert (await harness.get("/v1/turns/turn_1")).json()["reason"] == "internal_error"


async def test_socket_stays_usable_after_a_crash(
    autojump_clock: MockClock, crashing: pytest.MonkeyPatch
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        response = await socket.respond()
        assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
        crashing.undo()
        assert (await socket.respond())["status"] == "completed"


async def test_socket_stays_usable_when_no_terminal_event_comes(
    autojump_clock: MockClock, crashing: pytest.MonkeyPatch
) -> None:
    def close(turn: Turn, now: float) -> None:
        turn.journal.close()
        turn.final.set()

    crashing.setattr("actors.run_turn.publish_crash", close)
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.create()
        events = [await socket.receive()]
        while events[-1].get("delta") != "lo":
            events.append(await socket.receive())
        crashing.undo()
        assert (await socket.respond())["status"] == "completed"
