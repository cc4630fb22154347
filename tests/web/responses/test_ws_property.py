"""A Responses WebSocket, whatever a client says and when: every message has its answer."""

from typing import Literal

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from tests.actors.fakes import Line, ScriptedProvider, stop, text
from tests.web.dialects.responses_stream import LAST, check_grammar
from tests.web.house import House, open_house
from tests.web.socket_client import Object, Socket, door_of

LINES: list[Line] = [text("a"), 1.0, text("b"), 1.0, stop()]
Said = Literal["create", "unstored", "go on", "wrong", "garbage", "binary", "cancel", "cancel 2"]
MESSAGES: dict[Said, object] = {
    "create": {"type": "response.create", "model": "large", "input": "Hi"},
    "unstored": {"type": "response.create", "model": "large", "input": "Hi", "store": False},
    "go on": {
        "type": "response.create",
        "model": "large",
        "input": "Hi",
        "previous_response_id": "resp_1",
    },
    "wrong": {"type": "response.create", "model": "tiny", "input": "Hi"},
    "garbage": "{",
    "binary": b"{}",
    "cancel": {"type": "response.cancel"},
    "cancel 2": {"type": "response.cancel", "response_id": "resp_2"},
}
CANCELS = {"cancel", "cancel 2"}

saying = st.sampled_from(list(MESSAGES))
pausing = st.sampled_from([0.0, 0.2, 0.5, 1.0, 3.0])


@settings(max_examples=30)
@given(st.lists(st.tuples(pausing, saying), max_size=12))
def test_every_message_has_its_answer(script: list[tuple[float, Said]]) -> None:
    async def play() -> None:
        main = ScriptedProvider(*LINES, head=0.5)
        async with open_house(main) as house, door_of(house) as door:
            heard = await _speak(await door.open(), script)
            _check_answers(heard, [said for _, said in script])
            assert len(house.registry) == 0
            _check_records(house)

    trio.run(play, clock=MockClock(autojump_threshold=0))


@settings(max_examples=30)
@given(st.lists(st.tuples(pausing, saying), max_size=8), st.floats(0, 6))
def test_who_leaves_leaves_nothing(script: list[tuple[float, Said]], stays_s: float) -> None:
    async def play() -> None:
        main = ScriptedProvider(*LINES, head=0.5)
        async with open_house(main) as house, door_of(house) as door:
            socket = await door.open()
            with trio.move_on_after(stays_s):
                await _speak(socket, script)
            left_at = trio.current_time()
            await door.over[0].wait()
            assert trio.current_time() == left_at
            assert len(house.registry) == 0
            assert all(answer.left == 1 for answer in main.answers)
            _check_records(house)

    trio.run(play, clock=MockClock(autojump_threshold=0))


async def _speak(socket: Socket, script: list[tuple[float, Said]]) -> list[Object]:
    """Say all that, and leave when it has been answered; what was heard."""
    heard: list[Object] = []
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, socket, heard)
            for pause, said in script:
                await trio.sleep(pause)
                await socket.say(MESSAGES[said])
            await trio.sleep(10)
            nursery.cancel_scope.cancel()
        whole = await socket.respond()
        assert whole["status"] == "completed"
    finally:
        with trio.move_on_after(5, shield=True):
            await socket.stream.aclose()
    return heard


async def _listen(socket: Socket, heard: list[Object]) -> None:
    try:
        while True:
            heard.append(await socket.hear())
    except ConnectionClosed:
        return


def _check_answers(heard: list[Object], said: list[Said]) -> None:
    errors = [event for event in heard if event["type"] == "error"]
    responses: list[list[Object]] = [[]]
    for event in heard:
        if event["type"] != "error":
            responses[-1].append(event)
        if event["type"] in LAST:
            responses.append([])
    assert responses.pop() == []
    for response in responses:
        check_grammar(response)
    cancels = sum(message in CANCELS for message in said)
    answers = len(errors) + len(responses)
    assert len(said) - cancels <= answers <= len(said)


def _check_records(house: House) -> None:
    assert sorted(house.store.begun) == sorted(record.turn.id for record in house.store.finals)
