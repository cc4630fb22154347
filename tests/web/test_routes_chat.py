"""`POST /v1/chat/completions`, from the request to the last byte and the record."""

from itertools import pairwise

import httpx
import pytest
import trio
from trio.testing import MockClock

from actors.outcome import DisconnectStage, Mode, Reason
from actors.providers.base import FailureKind, UpstreamFailure
from tests.actors.fakes import FOREVER, Line, ScriptedProvider, Trouble, stop, text
from tests.web.dialects.reading import comments_of, frames_of, read_chunk, read_completion
from tests.web.house import BROKEN_OFF, House, asking, in_a_moment, open_house
from web.dialects.frames import PING as HEARTBEAT

HELLO: list[Line] = [text("Hel"), text("lo"), stop()]


def error_of(response: httpx.Response) -> dict[str, object]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return body["error"]  # type: ignore[no-any-return]


async def test_a_stream(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        response = await house.chat(stream=True)
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache, no-transform"
        assert response.headers["x-turn-id"] == "turn_1"
        assert response.content.startswith(HEARTBEAT)
        *chunks, done = [frame.data for frame in frames_of(response.content)]
        assert done == "[DONE]"
        texts = [read_chunk(data).choices[0].delta.content for data in chunks]
        assert texts == ["", "Hel", "lo", None]
        assert house.theatre.record.text == "Hello"
        assert house.theatre.record.turn.dialect == "openai-chat"


async def test_tokens_arrive_when_they_are_said(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 1.0, text("b"), 1.0, stop(), head=1.0)
    async with open_house(main) as house:
        heard = await house.heard_at("/v1/chat/completions", asking(stream=True))
    assert sorted(set(heard)) == [1, 2, 3]


async def test_usage_is_sent_where_it_is_asked_for(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        stream = await house.stream_to_the_end(stream_options={"include_usage": True})
        *_, usage, _done = frames_of(stream)
        chunk = read_chunk(usage.data)
        assert chunk.choices == []
        assert chunk.usage is not None
        assert chunk.usage.completion_tokens == 1


async def test_a_whole_answer(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        response = await house.chat()
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-turn-id"] == "turn_1"
        completion = read_completion(response.content)
        assert completion.choices[0].message.content == "Hello"
        assert completion.id == "chatcmpl-1"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_bad_request_is_no_turn(autojump_clock: MockClock, stream: bool) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        response = await house.chat(stream=stream, messages=[])
        assert response.status_code == 400
        assert error_of(response)["param"] == "messages"
        assert "x-turn-id" not in response.headers
        assert house.store.begun == {}


async def test_an_unknown_model_is_told_the_names(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        response = await house.chat(model="tiny")
        assert response.status_code == 404
        error = error_of(response)
        assert error["code"] == "model_not_found"
        assert "large" in str(error["message"])


async def test_a_route_can_be_named_directly(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        assert (await house.chat(model="main/any/model")).status_code == 200
        assert house.theatre.record.upstream_model == "any/model"


async def test_a_body_that_is_too_long(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO), limits={"body_bytes": 100}) as house:
        response = await house.chat(messages=[{"role": "user", "content": "x" * 200}])
        assert response.status_code == 413
        error_of(response)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/", 404),
    ],
)
async def test_there_is_no_such_thing(
    autojump_clock: MockClock, method: str, path: str, status: int
) -> None:
    async with open_house() as house:
        response = await house.client.request(method, path)
        assert response.status_code == status
        error_of(response)


async def test_while_draining_new_turns_are_refused(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        house.registry.draining = True
        response = await house.chat()
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert error_of(response)["code"] == "draining"


async def test_past_the_limit_new_turns_are_refused(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(FOREVER)
    limits: dict[str, object] = {"concurrent_turns": 1}
    async with open_house(main, limits=limits) as house, trio.open_nursery() as nursery:
        nursery.start_soon(house.chat)
        await in_a_moment()
        response = await house.chat()
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert error_of(response)["code"] == "too_many_turns"
        nursery.cancel_scope.cancel()


async def test_a_store_that_takes_no_turns(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        house.store.trouble["begin"] = Trouble.REFUSES
        for stream in (False, True):
            response = await house.chat(stream=stream)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "2"
            assert response.headers["x-turn-id"]
            assert error_of(response)["code"] == "store_unavailable"
        assert house.theatre.providers["main"].calls == []


K = FailureKind
BEFORE_CONTENT: list[tuple[Line, int, str]] = [
    (UpstreamFailure(K.REJECTED, "bad", status=400), 400, "rejected"),
    (UpstreamFailure(K.REJECTED, "who?", status=401), 502, "rejected"),
    (UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=6.5), 429, "rejected"),
    (UpstreamFailure(K.SERVER_ERROR, "broken", status=500), 502, "server_error"),
    (UpstreamFailure(K.SERVER_ERROR, "away", status=503), 503, "server_error"),
    (UpstreamFailure(K.REFUSED, "no connection"), 502, "refused"),
    (UpstreamFailure(K.CONNECT_TIMEOUT, "slow"), 504, "connect_timeout"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("head", "status", "code"), BEFORE_CONTENT)
async def test_a_failure_before_any_route_answers_is_a_status(
    autojump_clock: MockClock, head: Line, status: int, code: str, stream: bool
) -> None:
    async with open_house(ScriptedProvider(head=head)) as house:
        response = await house.chat(stream=stream)
        assert response.status_code == status
        assert response.headers["x-turn-id"] == "turn_1"
        assert error_of(response)["code"] == code
        assert response.headers.get("retry-after") == ("7" if status == 429 else None)
        assert house.theatre.record.turn.id == "turn_1"


async def test_the_next_route_answers_instead(autojump_clock: MockClock) -> None:
    refused = UpstreamFailure(K.REFUSED, "no connection")
    main = ScriptedProvider(head=refused)
    async with open_house(main, ScriptedProvider(*HELLO, name="spare")) as house:
        response = await house.chat()
        assert read_completion(response.content).model == "spare-model"


async def test_who_waits_long_for_a_head_gets_a_stream_all_the_same(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(head=FOREVER)
    async with open_house(main, turns={"commit_after_s": 5, "heartbeat_s": 4}) as house:
        asked = asking(stream=True)
        async with house.client.stream("POST", "/v1/chat/completions", json=asked) as response:
            assert response.status_code == 200
            assert trio.current_time() == 5
            stream = await response.aread()
        (frame,) = frames_of(stream)
        assert "first_byte_timeout" in frame.data
        assert stream.count(HEARTBEAT) >= 4
    assert trio.current_time() == 20


@pytest.mark.parametrize(("lines", "status"), BROKEN_OFF)
async def test_a_failure_in_the_middle_is_an_error_and_never_done(
    autojump_clock: MockClock, lines: list[Line], status: int
) -> None:
    async with open_house(ScriptedProvider(*lines)) as house:
        stream = await house.stream_to_the_end()
        *_, last = frames_of(stream)
        assert last.data.startswith('{"error":')
        assert b"[DONE]" not in stream
    async with open_house(ScriptedProvider(*lines)) as house:
        response = await house.chat()
        assert response.status_code == status
        error_of(response)


async def test_a_record_that_was_spooled_is_said(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(text("a"), 1.0, stop())) as house:
        house.store.trouble["finalise"] = Trouble.REFUSES
        stream = await house.stream_to_the_end()
        assert comments_of(stream)[-1] == "stored spooled"
        assert stream.index(b": stored spooled") < stream.index(b"[DONE]")
        response = await house.chat()
        assert response.headers["x-turn-stored"] == "spooled"


async def test_heartbeats_fill_silence(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 19.0, text("b"), stop())
    async with open_house(main, turns={"heartbeat_s": 4}) as house:
        heard = await house.heard_at("/v1/chat/completions", asking(stream=True))
        assert max(b - a for a, b in pairwise([0.0, *heard])) <= 4 + 1e-9


STAGES = [
    (0.5, DisconnectStage.BEFORE_FIRST_TOKEN),
    (1.5, DisconnectStage.BEFORE_FIRST_TOKEN),
    (2.5, DisconnectStage.MID_STREAM),
    (3.5, DisconnectStage.AFTER_END),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("at", "stage"), STAGES)
async def test_a_client_that_leaves_ends_its_turn_at_once(
    autojump_clock: MockClock, at: float, stage: DisconnectStage, stream: bool
) -> None:
    main = ScriptedProvider(1.0, text("Hello"), 1.0, stop(), 1.0, head=1.0)
    async with open_house(main) as house:
        with trio.move_on_after(at):
            await house.chat(stream=stream)
        await house.app.exchanges[0].done.wait()
        assert trio.current_time() == at
        record = house.theatre.record
        assert record.disconnect_stage == stage.value
        assert len(house.registry) == 0
        assert main.opening == 0
        assert all(answer.left_at == at for answer in main.answers)


async def test_a_background_turn_does_not_need_its_client(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(5.0, *HELLO)
    async with open_house(main, mode=Mode.BACKGROUND) as house:
        with trio.move_on_after(1):
            await house.chat(stream=True)
        await house.registry.wait_empty()
        assert house.theatre.record.reason == Reason.STOP.value


async def test_parameters_go_to_the_provider(autojump_clock: MockClock) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await house.chat(temperature=0.1, tools=tools, unknown_parameter={"a": [1]})
        ((call, _),) = house.theatre.providers["main"].calls
        assert call.parameters == {
            "temperature": 0.1,
            "tools": tools,
            "unknown_parameter": {"a": [1]},
        }
        assert call.messages == [{"role": "user", "content": "Hi"}]


async def test_who_wants_nothing_stored_gets_only_a_row(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await house.chat(store=False)
        assert house.theatre.record.text == ""
        assert house.store.kept == {}


async def test_many_at_once_do_not_mix(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(0.1, text("a"), 0.1, text("b"), stop())) as house:
        streams: list[bytes] = []

        async def one(house: House) -> None:
            streams.append(await house.stream_to_the_end())

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one, house)
        texts = [[frame.data for frame in frames_of(stream)] for stream in streams]
        ids = {read_chunk(data).id for datas in texts for data in datas[:-1]}
        assert len(ids) == 50
        assert {len(datas) for datas in texts} == {5}
        assert len(house.store.finals) == 50
