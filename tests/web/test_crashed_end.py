"""Turns whose finalising crashes: every reader is told an end, in every dialect."""

import json

import pytest
from trio.testing import MockClock

from actors.ending import Ending
from actors.turn import Turn
from tests.actors.fakes import ScriptedProvider, stop, text
from tests.web.house import asking, open_house
from tests.web.responding import HELLO
from tests.web.socket_client import door_of

ASKED: dict[str, dict[str, object]] = {
    "/v1/chat/completions": asking(),
    "/v1/messages": asking(max_tokens=99),
    "/v1/responses": {"model": "large", "input": "Hi"},
}


class Bug(Exception):
    pass


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    def crash(*_: object) -> None:
        raise Bug

    monkeypatch.setattr(Ending, "ended", crash)
    return monkeypatch


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.usefixtures("crashing")
async def test_who_does_not_stream_gets_an_error(autojump_clock: MockClock, path: str) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        answer = await house.post(path, json=ASKED[path])
        assert answer.status_code == 500
        assert answer.json()["error"]["message"].startswith("The server failed to play this turn.")
        assert answer.headers["X-Turn-Stored"] == "unsaved"
        assert any(isinstance(crash, Bug) for crash in house.theatre.observer.crashes)


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.usefixtures("crashing")
async def test_who_streams_gets_a_last_event(autojump_clock: MockClock, path: str) -> None:
    async with open_house(ScriptedProvider(text("a"), 1.0, stop())) as house:
        answer = await house.post(path, json=ASKED[path] | {"stream": True})
        assert answer.status_code == 200
        last = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")][-1]
        assert "The server failed to play this turn." in json.dumps(json.loads(last))
        assert (await house.get("/v1/turns/turn_1")).json()["reason"] == "internal_error"


async def test_a_socket_goes_on(autojump_clock: MockClock, crashing: pytest.MonkeyPatch) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        socket = await door.open()
        response = await socket.respond()
        assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
        crashing.undo()
        assert (await socket.respond())["status"] == "completed"


async def test_a_socket_goes_on_even_where_no_end_comes(
    autojump_clock: MockClock, crashing: pytest.MonkeyPatch
) -> None:
    def close(turn: Turn, now: float) -> None:
        turn.journal.close()
        turn.final.set()

    crashing.setattr("actors.run_turn.publish_crash", close)
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        heard = [await socket.hear()]
        while heard[-1].get("delta") != "lo":
            heard.append(await socket.hear())
        crashing.undo()
        assert (await socket.respond())["status"] == "completed"
