"""`/v1/responses` as a WebSocket: its messages, their order, and its ends."""

import gc
import json

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from actors.turn.chat_messages import write_messages
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import Mode, Reason
from actors.turn.state import Turn
from store.records.turn_records import ChainLink, Principal
from tests.support.edge_harness import EdgeHarness, brief_pause, open_harness
from tests.support.responses_requests import (
    HELLO,
    TOOL_CALL_ANSWER,
    WEATHER_TOOL,
    create_response,
    error_of,
    function_output,
    get_response,
    last_call,
    last_messages,
    post_response,
)
from tests.support.responses_socket import (
    HANDSHAKE,
    PONG,
    SETTINGS,
    ResponsesSocket,
    masked_frame,
    serve_sockets,
    use_socket,
)
from tests.support.turn_fakes import (
    FOREVER,
    AtStep,
    Line,
    Scene,
    ScriptedProvider,
    StoreFault,
    stop,
    text,
)
from web.dialects.frames import data_of
from web.server import ServerSettings
from web.surfaces.responses.request import ResponsesRequest

K = FailureKind
CREATE = {"type": "response.create", "model": "large", "input": "Hi"}
CANCEL = {"type": "response.cancel"}
NOT_FOUND = (404, "previous_response_not_found", "previous_response_id")
ENDLESS: list[Line] = [text("a"), FOREVER]
THEN_HELLO = Scene(tuple(HELLO))


def last_contents(harness: EdgeHarness) -> list[object]:
    """Return the contents of the messages in the last model call, without their roles."""
    return [message["content"] for message in write_messages(last_call(harness).messages)]


def last_record(harness: EdgeHarness) -> tuple[str, str, str | None, str]:
    record = harness.store.finals[-1]
    return record.status, record.reason, record.disconnect_stage, record.text


async def test_events_equal_those_of_the_http_stream(autojump_clock: MockClock) -> None:
    async with (
        open_harness(ScriptedProvider(*TOOL_CALL_ANSWER)) as harness,
        serve_sockets(harness) as server,
    ):
        socket = await server.open()
        await socket.create(tools=[WEATHER_TOOL], metadata={"a": "b"})
        received = await socket.receive_all()
        answer = await harness.get("/v1/responses/resp_1?stream=true")
        assert received == [json.loads(data) for data in data_of(answer.content)]
        assert received[-1]["response"] == await get_response(harness, "resp_1")


async def test_events_arrive_without_delay(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 1.0, text("b"), 1.0, stop(), head=1.0)
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.create()
        received: dict[str, float] = {}
        while "response.completed" not in received:
            event = await socket.receive()
            received[str(event.get("delta", event["type"]))] = trio.current_time()
    assert {received[name] for name in ("response.created", "a", "b", "response.completed")} == {
        1.0,
        2.0,
        3.0,
    }


async def test_responses_follow_each_other(autojump_clock: MockClock) -> None:
    then = [Scene((text(str(number)), stop())) for number in range(20)]
    async with open_harness(ScriptedProvider(*HELLO, then=then)) as harness:

        async def converse(socket: ResponsesSocket) -> None:
            response = await socket.respond(input="0")
            for number in range(20):
                previous = response["id"]
                response = await socket.respond(
                    input=str(number + 1), previous_response_id=previous
                )
                assert response["previous_response_id"] == previous
                assert await get_response(harness, response["id"]) == response
            assert len(last_contents(harness)) == 41
            assert last_contents(harness)[:4] == ["0", "Hello", "1", "0"]

        await use_socket(harness, converse)
        assert len(harness.store.finals) == 21


async def test_conversation_with_a_tool(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*TOOL_CALL_ANSWER, then=[THEN_HELLO])
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        first = await socket.respond(tools=[WEATHER_TOOL], store=False)
        call = first["output"][2]
        second = await socket.respond(
            tools=[WEATHER_TOOL],
            input=[function_output(call["call_id"])],
            previous_response_id=first["id"],
            store=False,
        )
        assert second["status"] == "completed"
        roles = [message["role"] for message in write_messages(last_call(harness).messages)]
        assert roles == ["user", "assistant", "tool"]


async def test_next_response_may_be_requested_after_the_last_event(
    autojump_clock: MockClock,
) -> None:
    """The server may learn only later that the event was sent."""
    theirs, ours = memory_stream_pair()
    deliver = ours.send_stream.send_all_hook
    assert deliver is not None

    async def linger() -> None:
        await deliver()
        await trio.sleep(0.01)

    ours.send_stream.send_all_hook = linger
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        socket = await server.open((theirs, ours))
        for _ in range(20):
            assert (await socket.respond())["status"] == "completed"


async def test_unstored_response_can_be_continued_on_its_socket(
    autojump_clock: MockClock,
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        socket, other = await server.open(), await server.open()
        first = await socket.respond(input="1", instructions="Be kind.", store=False)
        assert first["store"] is False
        second = await socket.respond(input="2", previous_response_id="resp_1", store=False)
        assert last_contents(harness) == ["Be kind.", "1", "Hello", "2"]
        assert second["instructions"] == "Be kind."
        assert await other.create_error(previous_response_id="resp_1") == NOT_FOUND
        assert error_of(await post_response(harness, previous_response_id="resp_2")) == NOT_FOUND
        await socket.respond(input="fork", previous_response_id="resp_1", store=False)
        assert last_contents(harness) == ["Be kind.", "1", "Hello", "fork"]
        assert {record.text for record in harness.store.finals} == {""}
        assert {turn.input_items for turn in harness.store.begun.values()} == {None}


async def test_stored_and_unstored_responses_share_a_history(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        await create_response(harness, input="posted")
        socket = await server.open()
        await socket.respond(input="stored", previous_response_id="resp_1")
        await socket.respond(input="secret", previous_response_id="resp_2", store=False)
        await socket.respond(input="stored too", previous_response_id="resp_3")
        await socket.respond(input="last", previous_response_id="resp_4", store=False)
        hello = "Hello"
        assert last_contents(harness) == [
            *("posted", hello, "stored", hello, "secret", hello, "stored too", hello, "last")
        ]
        assert error_of(await post_response(harness, previous_response_id="resp_4")) == NOT_FOUND
        await create_response(harness, previous_response_id="resp_2")
        await harness.client.delete("/v1/responses/resp_1")
        assert await socket.create_error(previous_response_id="resp_5") == NOT_FOUND


async def test_socket_cache_is_bounded(autojump_clock: MockClock) -> None:
    limits: dict[str, object] = {"body_bytes": 3100}
    async with open_harness(ScriptedProvider(*HELLO), limits=limits) as harness:

        async def converse(socket: ResponsesSocket) -> None:
            await socket.respond(input="x" * 1000, store=False)
            await socket.respond(input="y" * 1000, store=False)
            await socket.respond(input="stored" * 400)
            await socket.respond(previous_response_id="resp_1", store=False)
            await socket.respond(input="z" * 1000, store=False)
            assert await socket.create_error(previous_response_id="resp_1") == NOT_FOUND
            assert await socket.create_error(previous_response_id="resp_4") == NOT_FOUND
            await socket.respond(previous_response_id="resp_2", store=False)

        await use_socket(harness, converse)


@pytest.mark.parametrize("named", [True, False])
async def test_cancelled_response_has_its_last_event(
    autojump_clock: MockClock, named: bool
) -> None:
    main = ScriptedProvider(*ENDLESS, then=[THEN_HELLO])
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.create()
        first = await socket.receive_until("response.output_text.delta")
        await trio.sleep(1)
        await socket.send(CANCEL | ({"response_id": "resp_1"} if named else {}))
        event = await socket.receive_until("response.failed")
        assert event["response"] == await get_response(harness, "resp_1")
        assert event["response"]["status"] == "cancelled"
        assert event["sequence_number"] > first["sequence_number"]
        assert last_record(harness) == ("cancelled", "cancel_requested", None, "a")
        assert main.answer.left_at == 1
        assert (await socket.respond(previous_response_id="resp_1"))["status"] == "completed"
        assert last_contents(harness) == ["Hi", "a", "Hi"]


async def test_repeated_cancels_end_the_response_once(autojump_clock: MockClock) -> None:
    async with (
        open_harness(ScriptedProvider(*ENDLESS)) as harness,
        serve_sockets(harness) as server,
    ):
        socket = await server.open()
        await socket.create()
        await socket.receive_until("response.output_text.delta")
        for _ in range(9):
            await socket.send(CANCEL)
        await socket.send("the end")
        received = [await socket.receive()]
        while received[-1].get("status") != 400:
            received.append(await socket.receive())
        errors = [event for event in received[:-1] if event["type"] == "error"]
        assert {event["error"]["code"] for event in errors} <= {"response_not_found"}
        assert [event["type"] for event in received].count("response.failed") == 1


async def test_cancel_of_an_ended_response_is_a_harmless_error(
    autojump_clock: MockClock,
) -> None:
    """For both ends, and also if the next response is requested together with the cancellation."""
    unknown = (404, "response_not_found", "response_id")
    main = ScriptedProvider(*ENDLESS, then=[THEN_HELLO])
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.create()
        await socket.receive_until("response.output_text.delta")
        await socket.send(CANCEL)
        await socket.receive_until("response.failed")
        await socket.respond()
        for id in ("resp_1", "resp_2"):
            for _ in range(2):
                await socket.send(CANCEL | {"response_id": id})
                assert await socket.receive_error() == unknown
        await socket.send(CANCEL)
        await socket.create(previous_response_id="resp_1")
        assert await socket.receive_error() == unknown
        assert (await socket.receive_all())[-1]["response"]["id"] == "resp_3"
        assert [record.reason for record in harness.store.finals] == [
            "cancel_requested",
            "stop",
            "stop",
        ]


async def test_cancelled_unstored_response_can_be_continued(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(*ENDLESS, then=[THEN_HELLO])
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.create(store=False)
        await socket.receive_until("response.output_text.delta")
        await socket.send(CANCEL)
        await socket.receive_until("response.failed")
        await socket.respond(previous_response_id="resp_1")
        assert last_contents(harness) == ["Hi", "a", "Hi"]


async def test_cancel_before_any_route_answers(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(head=FOREVER, then=[THEN_HELLO])
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.create()
        await trio.sleep(1)
        await socket.send(CANCEL)
        assert await socket.receive_error() == (409, "cancel_requested", None)
        assert last_record(harness)[:2] == ("cancelled", "cancel_requested")
        assert trio.current_time() < 1.1
        await socket.respond()


async def test_cancel_while_the_history_is_read(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = ScriptedProvider(*HELLO)
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.respond()
        chain = harness.store.chain

        async def slowly(
            principal: Principal, turn_id: str, limit: int, max_bytes: int
        ) -> list[ChainLink]:
            await trio.sleep(1)
            return await chain(principal, turn_id, limit, max_bytes)

        monkeypatch.setattr(harness.store, "chain", slowly)
        await socket.create(previous_response_id="resp_1")
        await brief_pause()
        await socket.send(CANCEL | {"response_id": "resp_2"})
        assert await socket.receive_error() == (404, "response_not_found", "response_id")
        await socket.send(CANCEL)
        assert await socket.receive_error() == (409, "cancel_requested", None)
        assert len(main.answers) == 1
        assert last_record(harness)[:2] == ("cancelled", "cancel_requested")


async def test_cancel_of_an_unknown_response_is_an_error(autojump_clock: MockClock) -> None:
    async with (
        open_harness(ScriptedProvider(*ENDLESS)) as harness,
        serve_sockets(harness) as server,
    ):
        socket, other = await server.open(), await server.open()
        unknown = (404, "response_not_found", "response_id")
        await socket.send(CANCEL)
        assert await socket.receive_error() == unknown
        await socket.create()
        await socket.receive_until("response.output_text.delta")
        for id in ("resp_2", "turn_1", ""):
            await socket.send(CANCEL | {"response_id": id})
            assert await socket.receive_error() == unknown
        await socket.send(CANCEL | {"response_id": 1})
        assert await socket.receive_error() == (400, "invalid_value", "response_id")
        await other.send(CANCEL | {"response_id": "resp_1"})
        assert await other.receive_error() == unknown
        assert len(harness.registry) == 1


async def test_second_response_is_refused_while_one_is_live(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 2.0, text("b"), stop())
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.create()
        received = [await socket.receive() for _ in range(5)]
        for _ in range(3):
            assert await socket.create_error() == (409, "response_in_progress", None)
        assert await socket.create_error(model="") == (400, "invalid_value", "model")
        received = await socket.receive_all(received)
        assert received[-1]["response"]["status"] == "completed"
        assert list(harness.store.begun) == ["turn_1"]
        await socket.respond()


INVALID: dict[str, tuple[object, tuple[int, str | None, str | None]]] = {
    "not json": ("garbage", (400, None, None)),
    "truncated json": ('{"type":"response.create"', (400, None, None)),
    "empty": ("", (400, None, None)),
    "a list": ([CREATE], (400, None, None)),
    "a string": ('"response.create"', (400, None, None)),
    "nested deeply": ("[" * 5000, (400, None, None)),
    "binary": (json.dumps(CREATE).encode(), (400, "unsupported_message", None)),
    "no type": ({"model": "large"}, (400, "missing_required_parameter", "type")),
    "another type": ({"type": "response.steer"}, (400, "invalid_value", "type")),
    "type not a string": ({"type": ["response.create"]}, (400, "invalid_value", "type")),
    "nested in response": (
        {"type": "response.create", "response": {"model": "large", "input": "Hi"}},
        (400, "invalid_value", "response"),
    ),
    "stream_id": (CREATE | {"stream_id": "a"}, (400, "unsupported_parameter", "stream_id")),
    "generate": (CREATE | {"generate": "no"}, (400, "invalid_value", "generate")),
    "background": (CREATE | {"background": True}, (400, "unsupported_parameter", "background")),
    "no model": (
        {"type": "response.create", "input": "Hi"},
        (400, "missing_required_parameter", "model"),
    ),
    "bad field": (CREATE | {"temperature": 3}, (400, "invalid_value", "temperature")),
    "bad item": (
        CREATE | {"input": [{"role": "user", "content": [{"type": "video"}]}]},
        (400, "unsupported_content_type", "input[0].content[0].type"),
    ),
    "unknown model": (CREATE | {"model": "tiny"}, (404, "model_not_found", "model")),
    "unknown previous response": (CREATE | {"previous_response_id": "resp_7"}, NOT_FOUND),
    "two histories": (
        CREATE | {"previous_response_id": "resp_7", "conversation": "c"},
        (400, "mutually_exclusive_parameters", "previous_response_id"),
    ),
    "large message": (
        CREATE | {"input": "x" * 50_000, "top_p": 2},
        (400, "invalid_value", "top_p"),
    ),
}


@pytest.mark.parametrize("name", INVALID)
async def test_invalid_message_is_an_error_and_the_socket_stays_open(
    autojump_clock: MockClock, name: str
) -> None:
    message, error = INVALID[name]
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.send(message)
        assert await socket.receive_error() == error
        assert harness.store.begun == {}
        await socket.respond(stream=False, generate=True, stream_id=None, event_id="e")


async def test_error_text_refers_to_the_message(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.send("[]")
        event = await socket.receive()
        assert event["error"]["message"] == "The message must be a JSON object."
        assert event["error"]["type"] == "invalid_request_error"


async def test_socket_fields_are_not_passed_to_the_provider(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.respond(stream=True, generate=True, event_id="e", seed=3)
        assert last_call(harness).parameters == {"seed": 3}


@pytest.mark.parametrize("store", [True, False])
async def test_request_without_generation_prepares_the_next_one(
    autojump_clock: MockClock, store: bool
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        warm = await socket.respond(generate=False, input="One", instructions="Brief.", store=store)
        assert (warm["status"], warm["output"], warm["model"]) == ("completed", [], "large")
        assert warm["usage"]["total_tokens"] == 0
        assert harness.turns.providers["main"].calls == []
        again = await socket.respond(generate=False, input=[], previous_response_id=warm["id"])
        await socket.respond(input=[], previous_response_id=again["id"], store=store)
        assert last_messages(harness) == [("system", "Brief."), ("user", "One")]
        (record,) = [one for one in harness.store.finals if one.turn.id == "turn_1"]
        assert record.usage is None or record.usage.cost_micros == 0


async def test_prepared_tools_are_those_of_the_next_request(autojump_clock: MockClock) -> None:
    brought = {"type": "additional_tools", "role": "developer", "tools": [WEATHER_TOOL]}
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        warm = await socket.respond(generate=False, input=[brought], store=False)
        await socket.respond(input="One", previous_response_id=warm["id"], store=False)
        tools = last_call(harness).parameters["tools"]
        assert [tool["function"]["name"] for tool in tools] == ["weather"]  # type: ignore[attr-defined]


FAILED = UpstreamFailure(K.REJECTED, "no", status=400)


@pytest.mark.parametrize(
    "failing",
    [
        {"model": "tiny"},
        {"temperature": 9},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]},
        {"input": "refused by the provider"},
    ],
    ids=lambda failing: str(*failing),
)
async def test_failed_request_evicts_the_response_that_it_continues(
    autojump_clock: MockClock, failing: dict[str, object]
) -> None:
    main = ScriptedProvider(*HELLO, then=[THEN_HELLO, Scene((), FAILED), THEN_HELLO])
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        first = await socket.respond(store=False)
        second = await socket.respond(store=False, previous_response_id=first["id"])
        status, *_ = await socket.create_error(
            previous_response_id=first["id"], store=False, **failing
        )
        assert status in (400, 404)
        main.skip_to(3)
        error = await socket.create_error(previous_response_id=first["id"], store=False)
        assert error == (404, "previous_response_not_found", "previous_response_id")
        # It is still part of the history of others.
        await socket.respond(store=False, previous_response_id=second["id"])
        assert len(last_messages(harness)) == 5


async def test_failed_stream_evicts_too_but_stored_responses_stay(
    autojump_clock: MockClock,
) -> None:
    broken = Scene((text("Hel"), UpstreamFailure(K.IN_STREAM_ERROR, "broken")))
    main = ScriptedProvider(*HELLO, then=[broken, broken, THEN_HELLO])
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        for store in (False, True):
            main.skip_to(0)
            first = await socket.respond(store=store)
            failed = await socket.respond(previous_response_id=first["id"], store=store)
            assert failed["status"] == "failed"
            main.skip_to(3)
            if store:
                await socket.respond(previous_response_id=first["id"])
            else:
                error = await socket.create_error(previous_response_id=first["id"])
                assert error == (404, "previous_response_not_found", "previous_response_id")


async def test_failure_before_content_is_an_error_event(autojump_clock: MockClock) -> None:
    busy = UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=6.5)
    main = ScriptedProvider(head=busy, then=[THEN_HELLO])
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.create()
        event = await socket.receive()
        assert (event["type"], event["status"]) == ("error", 429)
        assert event["error"]["code"] == "rate_limit_exceeded"
        waits = {"Retry-After": "7", "Retry-After-Ms": "6500"}
        assert event["error"]["headers"] == {"X-Turn-Id": "turn_1", **waits}
        assert last_record(harness)[:2] == ("failed", "upstream_rejected")
        await socket.respond()


async def test_failure_mid_stream_is_a_failed_response(autojump_clock: MockClock) -> None:
    lines: list[Line] = [text("a"), UpstreamFailure(K.IN_STREAM_ERROR, "overloaded")]
    main = ScriptedProvider(*lines, then=[THEN_HELLO])
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.create()
        received = await socket.receive_all()
        assert received[-1]["type"] == "response.failed"
        assert received[-1]["response"] == await get_response(harness, "resp_1")
        await socket.respond()


async def test_busy_conversation_or_previous_response_is_refused(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 5.0, stop(), then=[THEN_HELLO])
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket, other = await server.open(), await server.open()
        await other.create(conversation="c")
        await other.receive_until("response.output_text.delta")
        previous = "previous_response_id"
        assert await socket.create_error(previous_response_id="resp_1") == (
            *(409, "previous_response_in_progress"),
            previous,
        )
        assert await socket.create_error(conversation="c") == (
            409,
            "conversation_busy",
            "conversation",
        )
        await other.receive_until("response.completed")
        await socket.respond(conversation="c")
        assert last_contents(harness) == ["Hi", "a", "Hi"]


async def test_unavailable_store_is_an_error(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        harness.store.trouble["begin"] = StoreFault.REFUSES
        assert await socket.create_error() == (503, "store_unavailable", None)
        harness.store.trouble.clear()
        await socket.respond()


async def test_cached_response_is_continued_without_the_store(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        harness.store.trouble["finalise"] = StoreFault.REFUSES
        await socket.respond(store=False)
        await socket.respond()
        assert len(harness.store.spooled) == 2
        harness.store.trouble.clear()
        await socket.respond(previous_response_id="resp_1")
        assert last_contents(harness) == ["Hi", "Hello", "Hi"]
        error = await socket.create_error(previous_response_id="resp_2")
        assert error == (503, "store_unavailable", None)


async def test_limit_of_turns_is_an_error(autojump_clock: MockClock) -> None:
    limits: dict[str, object] = {"concurrent_turns": 1}
    main = ScriptedProvider(*ENDLESS)
    async with open_harness(main, limits=limits) as harness, serve_sockets(harness) as server:
        socket, other = await server.open(), await server.open()
        await other.create()
        await other.receive_until("response.output_text.delta")
        await socket.create()
        event = await socket.receive()
        assert (event["status"], event["error"]["code"]) == (503, "too_many_turns")
        assert event["error"]["headers"] == {"Retry-After": "1"}


@pytest.mark.parametrize("how", ["close frame", "end"])
@pytest.mark.parametrize(
    ("lines", "stage"), [(ENDLESS, "mid_stream"), ([FOREVER], "before_first_token")]
)
async def test_disconnect_ends_the_turn(
    autojump_clock: MockClock, how: str, lines: list[Line], stage: str
) -> None:
    main = ScriptedProvider(*lines)
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.create()
        await trio.sleep(1)
        if how == "end":
            await socket.stream.aclose()
        else:
            await socket.connection.aclose()
        await server.finished[0].wait()
        assert main.answer.left_at == pytest.approx(1)
        assert len(harness.registry) == 0
        assert last_record(harness)[:3] == ("incomplete", "client_disconnected", stage)


async def test_lingering_turn_can_be_read_after_a_disconnect(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 5.0, text("b"), stop())
    async with open_harness(main, mode=Mode.LINGER) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.create()
        await socket.receive_until("response.output_text.delta")
        await socket.stream.aclose()
        await server.finished[0].wait()
        answer = await harness.get("/v1/responses/resp_1?stream=true")
        last = json.loads(data_of(answer.content)[-1])
        assert last["type"] == "response.completed"
        assert last["response"]["output"][0]["content"][0]["text"] == "ab"


async def test_client_may_disconnect_at_any_step(autojump_clock: MockClock) -> None:
    """Every turn that starts has exactly one record, and nothing remains of the socket."""
    main = ScriptedProvider(text("a"), text("b"), stop())
    steps = 0
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        while True:
            steps += 2
            socket = await server.open()
            stays = trio.Event()
            trio.lowlevel.add_instrument(left := AtStep(steps, stays.set))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_talk, socket, nursery.cancel_scope)
                await stays.wait()
                nursery.cancel_scope.cancel()
            trio.lowlevel.remove_instrument(left)
            whole = stays.is_set() is False
            await socket.stream.aclose()
            await server.finished[-1].wait()
            with trio.fail_after(5):
                await harness.registry.wait_empty()
            if whole:
                break
    assert steps > 80
    ids = [record.turn.id for record in harness.store.finals]
    assert sorted(ids) == sorted(harness.store.begun)
    assert all(answer.left == 1 for answer in main.answers)


async def _talk(socket: ResponsesSocket, scope: trio.CancelScope) -> None:
    await socket.respond(store=False)
    await socket.create(previous_response_id="nonsense")
    await socket.receive_error()
    scope.cancel()


async def test_idle_client_may_disconnect(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:

        async def converse(socket: ResponsesSocket) -> None:
            await trio.sleep(5_500)

        await use_socket(harness, converse)
        assert harness.store.begun == {}


async def test_new_responses_are_refused_while_draining(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 5.0, stop())
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        busy, idle = await server.open(), await server.open()
        await busy.create()
        await busy.receive_until("response.output_text.delta")
        harness.registry.draining = True
        assert await idle.create_error() == (503, "draining", None)
        assert await idle.close_code() == 1001
        assert await busy.create_error() == (409, "response_in_progress", None)
        assert (await busy.receive_until("response.completed"))["response"]["status"] == "completed"
        assert await busy.close_code() == 1001
        assert trio.current_time() == pytest.approx(5)
        late = await server.rejected_handshake()
        assert error_of(late) == (503, "draining", None)
        assert late.headers["retry-after"] == "1"


@pytest.mark.parametrize("replaced", [True, False])
async def test_idle_sockets_are_closed_when_the_server_stops(
    autojump_clock: MockClock, replaced: bool
) -> None:
    main = ScriptedProvider(text("a"), 5.0, stop())
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        busy, idle = await server.open(), await server.open()
        await idle.respond()
        await busy.create()
        await busy.receive_until("response.output_text.delta")
        began = trio.current_time()
        if replaced:
            server.http_server.leave(1)
        else:
            server.http_server.stop_accepting()
        assert await idle.close_code() == 1001
        assert trio.current_time() == began
        await busy.receive_until("response.completed")
        assert await busy.close_code() == 1001
        for over in server.finished:
            await over.wait()
        late = await server.open()
        assert await late.close_code() == 1001


async def test_shutdown_ends_a_response_with_an_event(autojump_clock: MockClock) -> None:
    async with (
        open_harness(ScriptedProvider(*ENDLESS)) as harness,
        serve_sockets(harness) as server,
    ):
        socket = await server.open()
        await socket.create()
        await socket.receive_until("response.output_text.delta")
        harness.registry.draining = True
        server.http_server.stop_accepting()
        harness.registry.stop_all(Reason.SERVER_SHUTDOWN)
        failed = await socket.receive_until("response.failed")
        assert "server_shutdown" in failed["response"]["error"]["message"]
        assert await socket.close_code() == 1001


async def test_client_that_does_not_read_is_disconnected(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*[text("a" * 100)] * 1000, FOREVER)
    settings = ServerSettings(write_stall_s=10)
    async with open_harness(main) as harness, serve_sockets(harness, settings) as server:
        socket = await server.open(lockstep_stream_pair())
        await socket.create()
        await trio.sleep(9)
        assert len(harness.registry) == 1
        await server.finished[0].wait()
        assert trio.current_time() == pytest.approx(10, abs=0.1)
        assert server.http_server.counters.write_stalls == 1
        assert last_record(harness)[:3] == ("incomplete", "client_disconnected", "mid_stream")


async def test_socket_of_a_slow_reader_is_closed(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*[text("a" * 1000)] * 1000, FOREVER)
    limits: dict[str, object] = {"reader_lag_bytes": 1000, "reader_bytes_per_s": 100_000}
    async with open_harness(main, limits=limits) as harness, serve_sockets(harness) as server:
        socket = await server.open(lockstep_stream_pair())
        await socket.create()
        with capture_logs() as logs:
            while True:
                await trio.sleep(0.1)
                try:
                    await socket.receive()
                except Exception:
                    break
        assert await socket.close_code() == 1008
        assert [line["event"] for line in logs].count("slow reader dropped") == 1
        assert last_record(harness)[:3] == ("incomplete", "client_disconnected", "mid_stream")


async def test_pings_are_sent_with_and_without_a_live_response(autojump_clock: MockClock) -> None:
    settings = ServerSettings(websocket_ping_s=4)
    async with (
        open_harness(ScriptedProvider(head=19.0)) as harness,
        serve_sockets(harness, settings) as server,
    ):
        stream = server.connect()
        await stream.send_all(HANDSHAKE)
        await trio.sleep(1)
        assert (await _received(stream)).endswith(b"\x89\x00")
        await stream.send_all(masked_frame(json.dumps(CREATE)))
        for _ in range(3):
            await trio.sleep(4)
            assert await _received(stream) == b"\x89\x00"
            await stream.send_all(PONG)


@pytest.mark.parametrize("busy", [False, True])
async def test_socket_ends_after_an_hour_but_not_within_a_response(
    autojump_clock: MockClock, busy: bool
) -> None:
    main = ScriptedProvider(*HELLO[:-1], 20.0, HELLO[-1])
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await trio.sleep(3590)
        if busy:
            await socket.create()
            assert (await socket.receive_all())[-1]["type"] == "response.completed"
        assert await socket.receive_error() == (400, "websocket_connection_limit_reached", None)
        assert await socket.close_code() == 1001
    assert trio.current_time() == pytest.approx(3610 if busy else 3600, abs=1)


async def _received(stream: trio.abc.ReceiveStream) -> bytes:
    return bytes(await stream.receive_some(10_000))


@pytest.mark.parametrize("filling", ["x", "é", "€"])
async def test_message_size_is_limited_in_bytes(autojump_clock: MockClock, filling: str) -> None:
    settings = ServerSettings(websocket_message_bytes=1000)
    async with (
        open_harness(ScriptedProvider(*HELLO)) as harness,
        serve_sockets(harness, settings) as server,
    ):
        socket = await server.open()
        await socket.send(_create_of(1000, filling))
        await socket.receive_all()
        await socket.send(_create_of(1001, filling))
        assert await socket.close_code() == 1009
        await server.finished[0].wait()
        assert len(harness.store.begun) == 1


def _create_of(size: int, filling: str) -> str:
    """Return a message of `size` bytes."""
    message = json.dumps(CREATE)
    more, rest = divmod(size - len(message), len(filling.encode()))
    return message.replace("Hi", "Hi" + filling * more + "x" * rest)


async def test_unanswered_flood_is_bounded(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(*ENDLESS)
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        stream = server.connect(lockstep_stream_pair())
        await stream.send_all(HANDSHAKE)
        await stream.receive_some(10_000)
        await stream.send_all(masked_frame(json.dumps(CREATE)))
        await brief_pause()
        await stream.send_all(masked_frame(json.dumps(CREATE)) * 1000)
        await server.finished[0].wait()
        assert len(harness.store.begun) == 1
        assert trio.current_time() == pytest.approx(SETTINGS.write_stall_s, abs=0.1)
        assert len(harness.registry) == 0


async def test_answered_flood_is_bounded(autojump_clock: MockClock) -> None:
    """The client reads everything, but sends more than can be answered."""
    main = ScriptedProvider(*ENDLESS)
    async with open_harness(main) as harness, serve_sockets(harness) as server:
        stream = server.connect()
        await stream.send_all(HANDSHAKE)
        await stream.receive_some(10_000)
        await stream.send_all(masked_frame(json.dumps(CREATE)))
        await brief_pause()
        await stream.send_all(masked_frame(json.dumps(CREATE)) * 1000)
        got = b""
        while data := await stream.receive_some():
            got += data
        assert got.endswith(b"\x88\x02\x03\xf0")
        assert main.answer.left_at == pytest.approx(0, abs=0.1)
        assert last_record(harness)[1] == "client_disconnected"


@pytest.mark.parametrize("where", ["start_response", "read_event"])
async def test_bug_closes_only_its_socket(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async with (
        open_harness(ScriptedProvider(*ENDLESS)) as harness,
        serve_sockets(harness) as server,
    ):
        socket, other = await server.open(), await server.open()
        await other.create()
        await other.receive_until("response.output_text.delta")
        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(f"web.surfaces.responses.websocket.connection.{where}", _bug)
            await socket.create()
            assert await socket.close_code() == 1011
        (line,) = [line for line in logs if line["log_level"] == "error"]
        assert line["event"] == "request crashed"
        assert isinstance(line["exc_info"], Bug)
        await other.send(CANCEL)
        await other.receive_until("response.failed")


async def test_bug_is_logged_after_a_disconnect(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        open_harness(ScriptedProvider(*ENDLESS)) as harness,
        serve_sockets(harness) as server,
    ):
        socket = await server.open()
        monkeypatch.setattr("web.surfaces.responses.websocket.connection.start_response", _late_bug)
        with capture_logs() as logs:
            await socket.create()
            await brief_pause()
            await socket.stream.aclose()
            await server.finished[0].wait()
        (line,) = [line for line in logs if line["log_level"] == "error"]
        assert line["event"] == "request failed"
        assert line["exc_info"].subgroup(Bug) is not None
        assert server.http_server.counters.requests_crashed == 1


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


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://[", "http://localhost:81"]
)
async def test_foreign_origins_are_refused(autojump_clock: MockClock, origin: str) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        foreign = HANDSHAKE.replace(b"\r\n\r\n", b"\r\nOrigin: %b\r\n\r\n" % origin.encode())
        assert error_of(await server.rejected_handshake(foreign)) == (
            403,
            "origin_not_allowed",
            None,
        )
        socket = await server.open(headers=((b"Origin", b"http://localhost"),))
        await socket.respond()


async def test_plain_get_is_refused(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        answer = await harness.get("/v1/responses")
        assert error_of(answer)[0] in {400, 405}


async def test_socket_is_logged_as_one_request(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:

        async def converse(socket: ResponsesSocket) -> None:
            await socket.respond()
            await trio.sleep(2)

        with capture_logs() as logs:
            await use_socket(harness, converse)
        (line,) = [line for line in logs if line["event"] == "request ended"]
        fields = {name: line[name] for name in ("method", "path", "status", "ms", "left")}
        assert fields == {
            "method": "GET",
            "path": "/v1/responses",
            "status": 101,
            "ms": 2000.0,
            "left": True,
        }


async def test_disconnect_is_timed(autojump_clock: MockClock) -> None:
    async with (
        open_harness(ScriptedProvider(*ENDLESS)) as harness,
        serve_sockets(harness) as server,
    ):
        socket = await server.open()
        await socket.create()
        await socket.receive_until("response.output_text.delta")
        await socket.stream.aclose()
        await server.finished[0].wait()
        assert b"trouper_abort_seconds_count 1.0" in harness.service.metrics.exposition()


@pytest.mark.parametrize("store", [True, False])
async def test_idle_socket_retains_no_turn(autojump_clock: MockClock, store: bool) -> None:
    """A retained turn would keep its request and all its events in memory."""
    before = turns_alive()  # earlier tests may have left frames that refer to turns
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        socket = await server.open()
        await socket.respond(store=store)
        await brief_pause()
        known = {id(found) for found in before}
        assert [type(found) for found in turns_alive() if id(found) not in known] == []


def turns_alive() -> list[Turn | ResponsesRequest]:
    """Return all turns and requests that anything still refers to."""
    # Turns in unreachable cycles are not leaks, so they are collected first.
    gc.collect()
    return [found for found in gc.get_objects() if isinstance(found, Turn | ResponsesRequest)]


async def test_closed_sockets_leave_no_tasks(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness, serve_sockets(harness) as server:
        await wait_all_tasks_blocked()
        tasks = trio.lowlevel.current_statistics().tasks_living
        for _ in range(5):
            socket = await server.open()
            await socket.respond(store=False)
            await socket.stream.aclose()
            await server.finished[-1].wait()
        await trio.sleep(10)
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living <= tasks
