"""Property tests of a Responses WebSocket: every client event is answered, at any time."""

from typing import Literal

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from tests.support.edge_harness import EdgeHarness, open_harness
from tests.support.responses_readers import LAST, check_grammar
from tests.support.responses_socket import Object, ResponsesSocket, serve_sockets
from tests.support.sizes import examples
from tests.support.turn_fakes import Line, ScriptedProvider, stop, text

LINES: list[Line] = [text("a"), 1.0, text("b"), 1.0, stop()]
Action = Literal["create", "unstored", "go on", "wrong", "garbage", "binary", "cancel", "cancel 2"]
MESSAGES: dict[Action, object] = {
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

action_names = st.sampled_from(list(MESSAGES))
pauses = st.sampled_from([0.0, 0.2, 0.5, 1.0, 3.0])


@settings(max_examples=examples(30))
@given(st.lists(st.tuples(pauses, action_names), max_size=12))
def test_every_client_event_is_answered(script: list[tuple[float, Action]]) -> None:
    async def play() -> None:
        main = ScriptedProvider(*LINES, head=0.5)
        async with open_harness(main) as harness, serve_sockets(harness) as server:
            received = await _run_script(await server.open(), script)
            _check_answers(received, [actions for _, actions in script])
            assert len(harness.registry) == 0
            _check_records(harness)

    trio.run(play, clock=MockClock(autojump_threshold=0))


@settings(max_examples=examples(30))
@given(st.lists(st.tuples(pauses, action_names), max_size=8), st.floats(0, 6))
def test_disconnected_client_leaves_no_turn_behind(
    script: list[tuple[float, Action]], stays_s: float
) -> None:
    async def play() -> None:
        main = ScriptedProvider(*LINES, head=0.5)
        async with open_harness(main) as harness, serve_sockets(harness) as server:
            socket = await server.open()
            with trio.move_on_after(stays_s):
                await _run_script(socket, script)
            left_at = trio.current_time()
            await server.finished[0].wait()
            assert trio.current_time() == left_at
            assert len(harness.registry) == 0
            assert all(answer.left == 1 for answer in main.answers)
            _check_records(harness)

    trio.run(play, clock=MockClock(autojump_threshold=0))


async def _run_script(socket: ResponsesSocket, script: list[tuple[float, Action]]) -> list[Object]:
    """Send the script, disconnect once it has been answered, and return the received events."""
    received: list[Object] = []
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_receive_all, socket, received)
            for pause, actions in script:
                await trio.sleep(pause)
                await socket.send(MESSAGES[actions])
            await trio.sleep(10)
            nursery.cancel_scope.cancel()
        whole = await socket.respond()
        assert whole["status"] == "completed"
    finally:
        with trio.move_on_after(5, shield=True):
            await socket.stream.aclose()
    return received


async def _receive_all(socket: ResponsesSocket, received: list[Object]) -> None:
    try:
        while True:
            received.append(await socket.receive())
    except ConnectionClosed:
        return


def _check_answers(received: list[Object], actions: list[Action]) -> None:
    errors = [event for event in received if event["type"] == "error"]
    responses: list[list[Object]] = [[]]
    for event in received:
        if event["type"] != "error":
            responses[-1].append(event)
        if event["type"] in LAST:
            responses.append([])
    assert responses.pop() == []
    for response in responses:
        check_grammar(response)
    cancels = sum(message in CANCELS for message in actions)
    answers = len(errors) + len(responses)
    assert len(actions) - cancels <= answers <= len(actions)


def _check_records(harness: EdgeHarness) -> None:
    assert sorted(harness.store.begun) == sorted(record.turn.id for record in harness.store.finals)
