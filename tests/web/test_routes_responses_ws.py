"""`/v1/responses` as a WebSocket: what is said on it, in which order, and how it ends."""

import gc
import json

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import (
    MockClock,
    lockstep_stream_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from actors.outcome import Mode, Reason
from actors.providers.base import FailureKind, UpstreamFailure
from actors.turn import Turn
from store.records import ChainLink
from tests.actors.fakes import (
    FOREVER,
    AtStep,
    Line,
    Scene,
    ScriptedProvider,
    Trouble,
    stop,
    text,
)
from tests.web.house import House, in_a_moment, open_house
from tests.web.responding import (
    CALLING,
    HELLO,
    WEATHER,
    asked,
    error_of,
    output,
    respond,
    responded,
    shown,
)
from tests.web.socket_client import HANDSHAKE, SETTINGS, Socket, conversing, door_of, masked
from web.dialects.frames import data_of
from web.responses.request import ResponsesAsk
from web.server import ServerSettings

K = FailureKind
CREATE = {"type": "response.create", "model": "large", "input": "Hi"}
CANCEL = {"type": "response.cancel"}
NOT_FOUND = (404, "previous_response_not_found", "previous_response_id")
LONG: list[Line] = [text("a"), FOREVER]
THEN_HELLO = Scene(tuple(HELLO))


def said(house: House) -> list[object]:
    """What the model was shown last, without who said it."""
    return [message["content"] for message in asked(house).messages]


def last_record(house: House) -> tuple[str, str, str | None, str]:
    record = house.store.finals[-1]
    return record.status, record.reason, record.disconnect_stage, record.text


async def test_events_are_those_of_the_stream(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*CALLING)) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create(tools=[WEATHER], metadata={"a": "b"})
        heard = await socket.hear_all()
        answer = await house.get("/v1/responses/resp_1?stream=true")
        assert heard == [json.loads(data) for data in data_of(answer.content)]
        assert heard[-1]["response"] == await shown(house, "resp_1")


async def test_events_come_when_they_are_said(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 1.0, text("b"), 1.0, stop(), head=1.0)
    async with open_house(main) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        heard: dict[str, float] = {}
        while "response.completed" not in heard:
            event = await socket.hear()
            heard[str(event.get("delta", event["type"]))] = trio.current_time()
    assert {heard[name] for name in ("response.created", "a", "b", "response.completed")} == {
        1.0,
        2.0,
        3.0,
    }


async def test_one_response_after_the_other(autojump_clock: MockClock) -> None:
    then = [Scene((text(str(number)), stop())) for number in range(20)]
    async with open_house(ScriptedProvider(*HELLO, then=then)) as house:

        async def converse(socket: Socket) -> None:
            response = await socket.respond(input="0")
            for number in range(20):
                previous = response["id"]
                response = await socket.respond(
                    input=str(number + 1), previous_response_id=previous
                )
                assert response["previous_response_id"] == previous
                assert await shown(house, response["id"]) == response
            assert len(said(house)) == 41
            assert said(house)[:4] == ["0", "Hello", "1", "0"]

        await conversing(house, converse)
        assert len(house.store.finals) == 21


async def test_a_conversation_with_a_tool(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*CALLING, then=[THEN_HELLO])
    async with open_house(main) as house, door_of(house) as door:
        socket = await door.open()
        first = await socket.respond(tools=[WEATHER], store=False)
        call = first["output"][2]
        second = await socket.respond(
            tools=[WEATHER],
            input=[output(call["call_id"])],
            previous_response_id=first["id"],
            store=False,
        )
        assert second["status"] == "completed"
        roles = [message["role"] for message in asked(house).messages]
        assert roles == ["user", "assistant", "tool"]


async def test_the_next_may_be_asked_for_when_the_last_event_is_here(
    autojump_clock: MockClock,
) -> None:
    """However much later the server learns that it has sent it."""
    theirs, ours = memory_stream_pair()
    deliver = ours.send_stream.send_all_hook
    assert deliver is not None

    async def linger() -> None:
        await deliver()
        await trio.sleep(0.01)

    ours.send_stream.send_all_hook = linger
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        socket = await door.open((theirs, ours))
        for _ in range(20):
            assert (await socket.respond())["status"] == "completed"


async def test_what_is_not_stored_can_be_gone_on_from_on_its_socket(
    autojump_clock: MockClock,
) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        socket, other = await door.open(), await door.open()
        first = await socket.respond(input="1", instructions="Be kind.", store=False)
        assert first["store"] is False
        second = await socket.respond(input="2", previous_response_id="resp_1", store=False)
        assert said(house) == ["Be kind.", "1", "Hello", "2"]
        assert second["instructions"] == "Be kind."
        assert await other.refused(previous_response_id="resp_1") == NOT_FOUND
        assert error_of(await respond(house, previous_response_id="resp_2")) == NOT_FOUND
        await socket.respond(input="fork", previous_response_id="resp_1", store=False)
        assert said(house) == ["Be kind.", "1", "Hello", "fork"]
        assert {record.text for record in house.store.finals} == {""}
        assert {turn.input_items for turn in house.store.begun.values()} == {None}


async def test_stored_and_unstored_responses_in_one_chain(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        await responded(house, input="posted")
        socket = await door.open()
        await socket.respond(input="stored", previous_response_id="resp_1")
        await socket.respond(input="secret", previous_response_id="resp_2", store=False)
        await socket.respond(input="stored too", previous_response_id="resp_3")
        await socket.respond(input="last", previous_response_id="resp_4", store=False)
        hello = "Hello"
        assert said(house) == [
            *("posted", hello, "stored", hello, "secret", hello, "stored too", hello, "last")
        ]
        assert error_of(await respond(house, previous_response_id="resp_4")) == NOT_FOUND
        await responded(house, previous_response_id="resp_2")
        await house.client.delete("/v1/responses/resp_1")
        assert await socket.refused(previous_response_id="resp_5") == NOT_FOUND


async def test_only_so_much_is_remembered(autojump_clock: MockClock) -> None:
    limits: dict[str, object] = {"body_bytes": 3100}
    async with open_house(ScriptedProvider(*HELLO), limits=limits) as house:

        async def converse(socket: Socket) -> None:
            await socket.respond(input="x" * 1000, store=False)
            await socket.respond(input="y" * 1000, store=False)
            await socket.respond(input="stored" * 400)
            await socket.respond(previous_response_id="resp_1", store=False)
            await socket.respond(input="z" * 1000, store=False)
            assert await socket.refused(previous_response_id="resp_1") == NOT_FOUND
            assert await socket.refused(previous_response_id="resp_4") == NOT_FOUND
            await socket.respond(previous_response_id="resp_2", store=False)

        await conversing(house, converse)


@pytest.mark.parametrize("named", [True, False])
async def test_a_cancelled_response_has_its_last_event(
    autojump_clock: MockClock, named: bool
) -> None:
    main = ScriptedProvider(*LONG, then=[THEN_HELLO])
    async with open_house(main) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        first = await socket.hear_until("response.output_text.delta")
        await trio.sleep(1)
        await socket.say(CANCEL | ({"response_id": "resp_1"} if named else {}))
        event = await socket.hear_until("response.failed")
        assert event["response"] == await shown(house, "resp_1")
        assert event["response"]["status"] == "cancelled"
        assert event["sequence_number"] > first["sequence_number"]
        assert last_record(house) == ("cancelled", "cancel_requested", None, "a")
        assert main.answer.left_at == 1
        assert (await socket.respond(previous_response_id="resp_1"))["status"] == "completed"
        assert said(house) == ["Hi", "a", "Hi"]


async def test_cancelling_again_and_again_ends_it_once(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*LONG)) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        await socket.hear_until("response.output_text.delta")
        for _ in range(9):
            await socket.say(CANCEL)
        await socket.say("the end")
        heard = [await socket.hear()]
        while heard[-1].get("status") != 400:
            heard.append(await socket.hear())
        errors = [event for event in heard[:-1] if event["type"] == "error"]
        assert {event["error"]["code"] for event in errors} <= {"response_not_found"}
        assert [event["type"] for event in heard].count("response.failed") == 1


async def test_cancelling_what_has_ended_is_an_error_that_harms_nobody(
    autojump_clock: MockClock,
) -> None:
    """By whatever it ended, and also where the next is asked for in the same breath."""
    unknown = (404, "response_not_found", "response_id")
    main = ScriptedProvider(*LONG, then=[THEN_HELLO])
    async with open_house(main) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        await socket.hear_until("response.output_text.delta")
        await socket.say(CANCEL)
        await socket.hear_until("response.failed")
        await socket.respond()
        for id in ("resp_1", "resp_2"):
            for _ in range(2):
                await socket.say(CANCEL | {"response_id": id})
                assert await socket.error() == unknown
        await socket.say(CANCEL)
        await socket.create(previous_response_id="resp_1")
        assert await socket.error() == unknown
        assert (await socket.hear_all())[-1]["response"]["id"] == "resp_3"
        assert [record.reason for record in house.store.finals] == [
            "cancel_requested",
            "stop",
            "stop",
        ]


async def test_what_was_not_stored_and_is_cancelled_can_be_gone_on_from(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(*LONG, then=[THEN_HELLO])
    async with open_house(main) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create(store=False)
        await socket.hear_until("response.output_text.delta")
        await socket.say(CANCEL)
        await socket.hear_until("response.failed")
        await socket.respond(previous_response_id="resp_1")
        assert said(house) == ["Hi", "a", "Hi"]


async def test_cancelling_before_any_route_answers(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(head=FOREVER, then=[THEN_HELLO])
    async with open_house(main) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        await trio.sleep(1)
        await socket.say(CANCEL)
        assert await socket.error() == (409, "cancel_requested", None)
        assert last_record(house)[:2] == ("cancelled", "cancel_requested")
        assert trio.current_time() < 1.1
        await socket.respond()


async def test_cancelling_while_the_history_is_read(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = ScriptedProvider(*HELLO)
    async with open_house(main) as house, door_of(house) as door:
        socket = await door.open()
        await socket.respond()
        chain = house.store.chain

        async def slowly(
            tenant_id: str, turn_id: str, limit: int, most_bytes: int
        ) -> list[ChainLink]:
            await trio.sleep(1)
            return await chain(tenant_id, turn_id, limit, most_bytes)

        monkeypatch.setattr(house.store, "chain", slowly)
        await socket.create(previous_response_id="resp_1")
        await in_a_moment()
        await socket.say(CANCEL | {"response_id": "resp_2"})
        assert await socket.error() == (404, "response_not_found", "response_id")
        await socket.say(CANCEL)
        assert await socket.error() == (409, "cancel_requested", None)
        assert len(main.answers) == 1
        assert last_record(house)[:2] == ("cancelled", "cancel_requested")


async def test_there_is_nothing_to_cancel(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*LONG)) as house, door_of(house) as door:
        socket, other = await door.open(), await door.open()
        unknown = (404, "response_not_found", "response_id")
        await socket.say(CANCEL)
        assert await socket.error() == unknown
        await socket.create()
        await socket.hear_until("response.output_text.delta")
        for id in ("resp_2", "turn_1", ""):
            await socket.say(CANCEL | {"response_id": id})
            assert await socket.error() == unknown
        await socket.say(CANCEL | {"response_id": 1})
        assert await socket.error() == (400, "invalid_value", "response_id")
        await other.say(CANCEL | {"response_id": "resp_1"})
        assert await other.error() == unknown
        assert len(house.registry) == 1


async def test_a_second_response_has_to_wait(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 2.0, text("b"), stop())
    async with open_house(main) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        heard = [await socket.hear() for _ in range(5)]
        for _ in range(3):
            assert await socket.refused() == (409, "response_in_progress", None)
        assert await socket.refused(model="") == (400, "invalid_value", "model")
        heard = await socket.hear_all(heard)
        assert heard[-1]["response"]["status"] == "completed"
        assert list(house.store.begun) == ["turn_1"]
        await socket.respond()


WRONG: dict[str, tuple[object, tuple[int, str | None, str | None]]] = {
    "no json": ("garbage", (400, None, None)),
    "half of it": ('{"type":"response.create"', (400, None, None)),
    "nothing": ("", (400, None, None)),
    "a list": ([CREATE], (400, None, None)),
    "a string": ('"response.create"', (400, None, None)),
    "nested deeply": ("[" * 5000, (400, None, None)),
    "binary": (json.dumps(CREATE).encode(), (400, "unsupported_message", None)),
    "no type": ({"model": "large"}, (400, "missing_required_parameter", "type")),
    "another type": ({"type": "response.steer"}, (400, "invalid_value", "type")),
    "a type that is none": ({"type": ["response.create"]}, (400, "invalid_value", "type")),
    "in an object": (
        {"type": "response.create", "response": {"model": "large", "input": "Hi"}},
        (400, "invalid_value", "response"),
    ),
    "a lane": (CREATE | {"stream_id": "a"}, (400, "unsupported_parameter", "stream_id")),
    "a warm-up": (CREATE | {"generate": False}, (400, "unsupported_parameter", "generate")),
    "background": (CREATE | {"background": True}, (400, "unsupported_parameter", "background")),
    "no model": (
        {"type": "response.create", "input": "Hi"},
        (400, "missing_required_parameter", "model"),
    ),
    "a field": (CREATE | {"temperature": 3}, (400, "invalid_value", "temperature")),
    "an item": (
        CREATE | {"input": [{"role": "user", "content": [{"type": "video"}]}]},
        (400, "unsupported_content_type", "input[0].content[0].type"),
    ),
    "a model that is not there": (CREATE | {"model": "tiny"}, (404, "model_not_found", "model")),
    "a past that is not there": (CREATE | {"previous_response_id": "resp_7"}, NOT_FOUND),
    "two pasts": (
        CREATE | {"previous_response_id": "resp_7", "conversation": "c"},
        (400, "mutually_exclusive_parameters", "previous_response_id"),
    ),
    "a large one": (CREATE | {"input": "x" * 50_000, "top_p": 2}, (400, "invalid_value", "top_p")),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_is_told_and_the_socket_stays(
    autojump_clock: MockClock, name: str
) -> None:
    message, error = WRONG[name]
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        socket = await door.open()
        await socket.say(message)
        assert await socket.error() == error
        assert house.store.begun == {}
        await socket.respond(stream=False, generate=True, stream_id=None, event_id="e")


async def test_the_words_are_about_a_message(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        socket = await door.open()
        await socket.say("[]")
        event = await socket.hear()
        assert event["error"]["message"] == "The message must be a JSON object."
        assert event["error"]["type"] == "invalid_request_error"


async def test_what_goes_with_a_socket_does_not_go_on(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        socket = await door.open()
        await socket.respond(stream=True, generate=True, event_id="e", seed=3)
        assert asked(house).parameters == {"seed": 3}


async def test_a_failure_before_any_route_answers_is_an_error(autojump_clock: MockClock) -> None:
    busy = UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=6.5)
    main = ScriptedProvider(head=busy, then=[THEN_HELLO])
    async with open_house(main) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        event = await socket.hear()
        assert (event["type"], event["status"]) == ("error", 429)
        assert event["error"]["code"] == "rejected"
        assert event["error"]["headers"] == {"X-Turn-Id": "turn_1", "Retry-After": "7"}
        assert last_record(house)[:2] == ("failed", "upstream_rejected")
        await socket.respond()


async def test_a_failure_in_the_middle_is_a_failed_response(autojump_clock: MockClock) -> None:
    lines: list[Line] = [text("a"), UpstreamFailure(K.IN_STREAM_ERROR, "overloaded")]
    main = ScriptedProvider(*lines, then=[THEN_HELLO])
    async with open_house(main) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        heard = await socket.hear_all()
        assert heard[-1]["type"] == "response.failed"
        assert heard[-1]["response"] == await shown(house, "resp_1")
        await socket.respond()


async def test_who_else_plays_is_in_the_way(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 5.0, stop(), then=[THEN_HELLO])
    async with open_house(main) as house, door_of(house) as door:
        socket, other = await door.open(), await door.open()
        await other.create(conversation="c")
        await other.hear_until("response.output_text.delta")
        previous = "previous_response_id"
        assert await socket.refused(previous_response_id="resp_1") == (
            *(409, "previous_response_in_progress"),
            previous,
        )
        assert await socket.refused(conversation="c") == (409, "conversation_busy", "conversation")
        await other.hear_until("response.completed")
        await socket.respond(conversation="c")
        assert said(house) == ["Hi", "a", "Hi"]


async def test_the_store_is_away(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        socket = await door.open()
        house.store.trouble["begin"] = Trouble.REFUSES
        assert await socket.refused() == (503, "store_unavailable", None)
        house.store.trouble.clear()
        await socket.respond()


async def test_who_has_it_in_memory_need_not_wait_for_the_store(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        socket = await door.open()
        house.store.trouble["finalise"] = Trouble.REFUSES
        await socket.respond(store=False)
        await socket.respond()
        assert len(house.store.spooled) == 2
        house.store.trouble.clear()
        await socket.respond(previous_response_id="resp_1")
        assert said(house) == ["Hi", "Hello", "Hi"]
        error = await socket.refused(previous_response_id="resp_2")
        assert error == (503, "store_unavailable", None)


async def test_the_limit_of_turns_is_reached(autojump_clock: MockClock) -> None:
    limits: dict[str, object] = {"concurrent_turns": 1}
    main = ScriptedProvider(*LONG)
    async with open_house(main, limits=limits) as house, door_of(house) as door:
        socket, other = await door.open(), await door.open()
        await other.create()
        await other.hear_until("response.output_text.delta")
        await socket.create()
        event = await socket.hear()
        assert (event["status"], event["error"]["code"]) == (503, "too_many_turns")
        assert event["error"]["headers"] == {"Retry-After": "1"}


@pytest.mark.parametrize("how", ["close frame", "end"])
@pytest.mark.parametrize(
    ("lines", "stage"), [(LONG, "mid_stream"), ([FOREVER], "before_first_token")]
)
async def test_who_leaves_ends_the_turn(
    autojump_clock: MockClock, how: str, lines: list[Line], stage: str
) -> None:
    main = ScriptedProvider(*lines)
    async with open_house(main) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        await trio.sleep(1)
        if how == "end":
            await socket.stream.aclose()
        else:
            await socket.connection.aclose()
        await door.over[0].wait()
        assert main.answer.left_at == pytest.approx(1)
        assert len(house.registry) == 0
        assert last_record(house)[:3] == ("incomplete", "client_disconnected", stage)


async def test_who_leaves_may_come_back_to_a_lingering_turn(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 5.0, text("b"), stop())
    async with open_house(main, mode=Mode.LINGER) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        await socket.hear_until("response.output_text.delta")
        await socket.stream.aclose()
        await door.over[0].wait()
        answer = await house.get("/v1/responses/resp_1?stream=true")
        last = json.loads(data_of(answer.content)[-1])
        assert last["type"] == "response.completed"
        assert last["response"]["output"][0]["content"][0]["text"] == "ab"


async def test_a_client_may_leave_at_any_step(autojump_clock: MockClock) -> None:
    """Every turn that begins has one record, no matter where; and nothing is left of the socket."""
    main = ScriptedProvider(text("a"), text("b"), stop())
    steps = 0
    async with open_house(main) as house, door_of(house) as door:
        while True:
            steps += 3
            socket = await door.open()
            stays = trio.Event()
            trio.lowlevel.add_instrument(left := AtStep(steps, stays.set))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_talk, socket, nursery.cancel_scope)
                await stays.wait()
                nursery.cancel_scope.cancel()
            trio.lowlevel.remove_instrument(left)
            whole = stays.is_set() is False
            await socket.stream.aclose()
            await door.over[-1].wait()
            with trio.fail_after(5):
                await house.registry.wait_empty()
            if whole:
                break
    assert steps > 100
    ids = [record.turn.id for record in house.store.finals]
    assert sorted(ids) == sorted(house.store.begun)
    assert all(answer.left == 1 for answer in main.answers)


async def _talk(socket: Socket, scope: trio.CancelScope) -> None:
    await socket.respond(store=False)
    await socket.create(previous_response_id="nonsense")
    await socket.error()
    scope.cancel()


async def test_an_idle_client_leaves(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:

        async def converse(socket: Socket) -> None:
            await trio.sleep(5_500)

        await conversing(house, converse)
        assert house.store.begun == {}


async def test_it_takes_no_new_turns_while_it_drains(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 5.0, stop())
    async with open_house(main) as house, door_of(house) as door:
        busy, idle = await door.open(), await door.open()
        await busy.create()
        await busy.hear_until("response.output_text.delta")
        house.registry.draining = True
        assert await idle.refused() == (503, "draining", None)
        assert await idle.closed() == 1001
        assert await busy.refused() == (409, "response_in_progress", None)
        assert (await busy.hear_until("response.completed"))["response"]["status"] == "completed"
        assert await busy.closed() == 1001
        assert trio.current_time() == pytest.approx(5)
        late = await door.rejected()
        assert error_of(late) == (503, "draining", None)
        assert late.headers["retry-after"] == "1"


@pytest.mark.parametrize("replaced", [True, False])
async def test_idle_sockets_are_closed_when_the_server_leaves(
    autojump_clock: MockClock, replaced: bool
) -> None:
    main = ScriptedProvider(text("a"), 5.0, stop())
    async with open_house(main) as house, door_of(house) as door:
        busy, idle = await door.open(), await door.open()
        await idle.respond()
        await busy.create()
        await busy.hear_until("response.output_text.delta")
        began = trio.current_time()
        if replaced:
            door.server.leave(1)
        else:
            door.server.stop_accepting()
        assert await idle.closed() == 1001
        assert trio.current_time() == began
        await busy.hear_until("response.completed")
        assert await busy.closed() == 1001
        for over in door.over:
            await over.wait()
        late = await door.open()
        assert await late.closed() == 1001


async def test_a_shutdown_ends_a_response_and_says_so(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*LONG)) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        await socket.hear_until("response.output_text.delta")
        house.registry.draining = True
        door.server.stop_accepting()
        house.registry.stop_all(Reason.SERVER_SHUTDOWN)
        failed = await socket.hear_until("response.failed")
        assert "server_shutdown" in failed["response"]["error"]["message"]
        assert await socket.closed() == 1001


async def test_who_does_not_read_is_cut_off(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*[text("a" * 100)] * 1000, FOREVER)
    settings = ServerSettings(write_stall_s=10)
    async with open_house(main) as house, door_of(house, settings) as door:
        socket = await door.open(lockstep_stream_pair())
        await socket.create()
        await trio.sleep(9)
        assert len(house.registry) == 1
        await door.over[0].wait()
        assert trio.current_time() == pytest.approx(10, abs=0.1)
        assert door.server.counters.write_stalls == 1
        assert last_record(house)[:3] == ("incomplete", "client_disconnected", "mid_stream")


async def test_who_reads_too_slowly_loses_its_socket(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*[text("a" * 1000)] * 1000, FOREVER)
    limits: dict[str, object] = {"reader_lag_bytes": 1000, "reader_bytes_per_s": 100_000}
    async with open_house(main, limits=limits) as house, door_of(house) as door:
        socket = await door.open(lockstep_stream_pair())
        await socket.create()
        with capture_logs() as logs:
            while True:
                await trio.sleep(0.1)
                try:
                    await socket.hear()
                except Exception:
                    break
        assert await socket.closed() == 1008
        assert [line["event"] for line in logs].count("reader_too_slow") == 1
        assert last_record(house)[:3] == ("incomplete", "client_disconnected", "mid_stream")


async def test_pings_come_whether_something_plays_or_not(autojump_clock: MockClock) -> None:
    settings = ServerSettings(websocket_ping_s=4)
    async with open_house(ScriptedProvider(head=19.0)) as house, door_of(house, settings) as door:
        stream = door.connect()
        await stream.send_all(HANDSHAKE)
        await trio.sleep(1)
        assert (await _received(stream)).endswith(b"\x89\x00")
        await stream.send_all(masked(json.dumps(CREATE)))
        for _ in range(3):
            await trio.sleep(4)
            assert await _received(stream) == b"\x89\x00"


async def _received(stream: trio.abc.ReceiveStream) -> bytes:
    return bytes(await stream.receive_some(10_000))


@pytest.mark.parametrize("filling", ["x", "é", "€"])
async def test_a_message_has_so_many_bytes(autojump_clock: MockClock, filling: str) -> None:
    settings = ServerSettings(websocket_message_bytes=1000)
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house, settings) as door:
        socket = await door.open()
        await socket.say(_create_of(1000, filling))
        await socket.hear_all()
        await socket.say(_create_of(1001, filling))
        assert await socket.closed() == 1009
        await door.over[0].wait()
        assert len(house.store.begun) == 1


def _create_of(size: int, filling: str) -> str:
    """A message of so many bytes."""
    message = json.dumps(CREATE)
    more, rest = divmod(size - len(message), len(filling.encode()))
    return message.replace("Hi", "Hi" + filling * more + "x" * rest)


async def test_a_flood_is_bounded(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*LONG)
    async with open_house(main) as house, door_of(house) as door:
        stream = door.connect(lockstep_stream_pair())
        await stream.send_all(HANDSHAKE)
        await stream.receive_some(10_000)
        await stream.send_all(masked(json.dumps(CREATE)))
        await in_a_moment()
        await stream.send_all(masked(json.dumps(CREATE)) * 1000)
        await door.over[0].wait()
        assert len(house.store.begun) == 1
        assert trio.current_time() == pytest.approx(SETTINGS.write_stall_s, abs=0.1)
        assert len(house.registry) == 0


async def test_a_flood_that_is_answered_is_bounded_too(autojump_clock: MockClock) -> None:
    """The client takes all that comes, but says more than can be answered."""
    main = ScriptedProvider(*LONG)
    async with open_house(main) as house, door_of(house) as door:
        stream = door.connect()
        await stream.send_all(HANDSHAKE)
        await stream.receive_some(10_000)
        await stream.send_all(masked(json.dumps(CREATE)))
        await in_a_moment()
        await stream.send_all(masked(json.dumps(CREATE)) * 1000)
        got = b""
        while data := await stream.receive_some():
            got += data
        assert got.endswith(b"\x88\x02\x03\xf0")
        assert main.answer.left_at == pytest.approx(0, abs=0.1)
        assert last_record(house)[1] == "client_disconnected"


@pytest.mark.parametrize("where", ["play_response", "read_event"])
async def test_a_bug_costs_one_socket(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async with open_house(ScriptedProvider(*LONG)) as house, door_of(house) as door:
        socket, other = await door.open(), await door.open()
        await other.create()
        await other.hear_until("response.output_text.delta")
        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(f"web.responses.ws.{where}", _bug)
            await socket.create()
            assert await socket.closed() == 1011
        (line,) = [line for line in logs if line["log_level"] == "error"]
        assert line["event"] == "request crashed"
        assert isinstance(line["exc_info"], Bug)
        await other.say(CANCEL)
        await other.hear_until("response.failed")


async def test_a_bug_is_told_of_although_the_client_has_left(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(ScriptedProvider(*LONG)) as house, door_of(house) as door:
        socket = await door.open()
        monkeypatch.setattr("web.responses.ws.play_response", _late_bug)
        with capture_logs() as logs:
            await socket.create()
            await in_a_moment()
            await socket.stream.aclose()
            await door.over[0].wait()
        (line,) = [line for line in logs if line["log_level"] == "error"]
        assert line["event"] == "request_failed"
        assert line["exc_info"].subgroup(Bug) is not None
        assert door.server.counters.app_errors == 1


class Bug(Exception):
    pass


async def _bug(*arguments: object) -> None:
    await trio.lowlevel.checkpoint()
    raise Bug


async def _late_bug(*arguments: object) -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise Bug


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[", "http://test:81"])
async def test_pages_of_other_sites_are_refused(autojump_clock: MockClock, origin: str) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        foreign = HANDSHAKE.replace(b"\r\n\r\n", b"\r\nOrigin: %b\r\n\r\n" % origin.encode())
        assert error_of(await door.rejected(foreign)) == (403, "origin_not_allowed", None)
        socket = await door.open(headers=((b"Origin", b"http://test"),))
        await socket.respond()


async def test_a_plain_request_is_no_socket(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        answer = await house.get("/v1/responses")
        assert error_of(answer)[0] in {400, 405}


async def test_the_log_has_a_line_for_the_socket(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:

        async def converse(socket: Socket) -> None:
            await socket.respond()
            await trio.sleep(2)

        with capture_logs() as logs:
            await conversing(house, converse)
        (line,) = [line for line in logs if line["event"] == "request"]
        told = {name: line[name] for name in ("method", "path", "status", "ms", "left")}
        assert told == {
            "method": "GET",
            "path": "/v1/responses",
            "status": 101,
            "ms": 2000.0,
            "left": True,
        }


async def test_who_leaves_is_timed(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*LONG)) as house, door_of(house) as door:
        socket = await door.open()
        await socket.create()
        await socket.hear_until("response.output_text.delta")
        await socket.stream.aclose()
        await door.over[0].wait()
        assert b"trouper_abort_seconds_count 1.0" in house.service.metrics.exposition()


@pytest.mark.parametrize("store", [True, False])
async def test_an_idle_socket_keeps_no_turn(autojump_clock: MockClock, store: bool) -> None:
    """It would keep all that the turn was asked, and every event."""
    before = turns_alive()  # of tests before this one, whose frames somebody still holds
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        socket = await door.open()
        await socket.respond(store=store)
        await in_a_moment()
        known = {id(found) for found in before}
        assert [type(found) for found in turns_alive() if id(found) not in known] == []


def turns_alive() -> list[Turn | ResponsesAsk]:
    """All turns, and what was asked for, that anything still refers to."""
    gc.collect()
    return [found for found in gc.get_objects() if isinstance(found, Turn | ResponsesAsk)]


async def test_nothing_is_left_of_many_sockets(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house, door_of(house) as door:
        await wait_all_tasks_blocked()
        tasks = trio.lowlevel.current_statistics().tasks_living
        for _ in range(5):
            socket = await door.open()
            await socket.respond(store=False)
            await socket.stream.aclose()
            await door.over[-1].wait()
        await trio.sleep(10)
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living <= tasks
