"""`POST /v1/chat/completions`, from the request to the last byte and the record."""

from itertools import pairwise

import httpx
import pytest
import trio
from trio.testing import MockClock

from actors.turn.chat_messages import write_messages
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import DisconnectStage, Mode, Reason
from tests.support.chat_readers import comments_of, frames_of, read_chunk, read_completion
from tests.support.edge_harness import (
    PARTIAL_ANSWERS,
    EdgeHarness,
    brief_pause,
    chat_body,
    open_harness,
)
from tests.support.turn_fakes import FOREVER, Line, ScriptedProvider, StoreFault, stop, text
from web.dialects.frames import PING as HEARTBEAT

HELLO: list[Line] = [text("Hel"), text("lo"), stop()]


def error_of(response: httpx.Response) -> dict[str, object]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return body["error"]  # type: ignore[no-any-return]


async def test_stream(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        response = await harness.chat(stream=True)
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache, no-transform"
        assert response.headers["x-turn-id"] == "turn_1"
        assert response.content.startswith(HEARTBEAT)
        *chunks, done = [frame.data for frame in frames_of(response.content)]
        assert done == "[DONE]"
        texts = [read_chunk(data).choices[0].delta.content for data in chunks]
        assert texts == ["", "Hel", "lo", None]
        assert harness.turns.record.text == "Hello"
        assert harness.turns.record.turn.dialect == "openai-chat"


async def test_tokens_arrive_without_delay(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 1.0, text("b"), 1.0, stop(), head=1.0)
    async with open_harness(main) as harness:
        times = await harness.chunk_times("/v1/chat/completions", chat_body(stream=True))
    assert sorted(set(times)) == [1, 2, 3]


async def test_usage_is_sent_on_request(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        stream = await harness.stream_chat(stream_options={"include_usage": True})
        *_, usage, _done = frames_of(stream)
        chunk = read_chunk(usage.data)
        assert chunk.choices == []
        assert chunk.usage is not None
        assert chunk.usage.completion_tokens == 1


async def test_non_streaming_answer(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        response = await harness.chat()
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-turn-id"] == "turn_1"
        completion = read_completion(response.content)
        assert completion.choices[0].message.content == "Hello"
        assert completion.id == "chatcmpl-1"


@pytest.mark.parametrize("stream", [False, True])
async def test_invalid_request_starts_no_turn(autojump_clock: MockClock, stream: bool) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        response = await harness.chat(stream=stream, messages=[])
        assert response.status_code == 400
        assert error_of(response)["param"] == "messages"
        assert "x-turn-id" not in response.headers
        assert harness.store.begun == {}


async def test_unknown_model_error_lists_the_models(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        response = await harness.chat(model="tiny")
        assert response.status_code == 404
        error = error_of(response)
        assert error["code"] == "model_not_found"
        assert "large" in str(error["message"])


async def test_route_can_be_named_directly(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        assert (await harness.chat(model="main/any/model")).status_code == 200
        assert harness.turns.record.upstream_model == "any/model"


async def test_oversized_body_is_413(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO), limits={"body_bytes": 100}) as harness:
        response = await harness.chat(messages=[{"role": "user", "content": "x" * 200}])
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
async def test_unknown_path_or_method_is_an_error(
    autojump_clock: MockClock, method: str, path: str, status: int
) -> None:
    async with open_harness() as harness:
        response = await harness.client.request(method, path)
        assert response.status_code == status
        error_of(response)


async def test_new_turns_are_refused_while_draining(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        harness.registry.draining = True
        response = await harness.chat()
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert error_of(response)["code"] == "draining"


async def test_new_turns_are_refused_over_the_limit(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(FOREVER)
    limits: dict[str, object] = {"concurrent_turns": 1}
    async with open_harness(main, limits=limits) as harness, trio.open_nursery() as nursery:
        nursery.start_soon(harness.chat)
        await brief_pause()
        response = await harness.chat()
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert error_of(response)["code"] == "too_many_turns"
        nursery.cancel_scope.cancel()


async def test_unavailable_store_is_503(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        harness.store.trouble["begin"] = StoreFault.REFUSES
        for stream in (False, True):
            response = await harness.chat(stream=stream)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "2"
            assert response.headers["x-turn-id"]
            assert error_of(response)["code"] == "store_unavailable"
        assert harness.turns.providers["main"].calls == []


K = FailureKind
BEFORE_CONTENT: list[tuple[Line, int, str]] = [
    (UpstreamFailure(K.REJECTED, "bad", status=400), 400, "rejected"),
    (UpstreamFailure(K.REJECTED, "who?", status=401), 502, "rejected"),
    (
        UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=6.5),
        429,
        "rate_limit_exceeded",
    ),
    (UpstreamFailure(K.SERVER_ERROR, "broken", status=500), 502, "server_error"),
    (UpstreamFailure(K.SERVER_ERROR, "away", status=503), 503, "server_error"),
    (UpstreamFailure(K.REFUSED, "no connection"), 502, "refused"),
    (UpstreamFailure(K.CONNECT_TIMEOUT, "slow"), 504, "connect_timeout"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("head", "status", "code"), BEFORE_CONTENT)
async def test_failure_before_content_is_an_http_status(
    autojump_clock: MockClock, head: Line, status: int, code: str, stream: bool
) -> None:
    async with open_harness(ScriptedProvider(head=head)) as harness:
        response = await harness.chat(stream=stream)
        assert response.status_code == status
        assert response.headers["x-turn-id"] == "turn_1"
        assert error_of(response)["code"] == code
        assert response.headers.get("retry-after") == {429: "7", 503: "1"}.get(status)
        assert harness.turns.record.turn.id == "turn_1"


async def test_next_route_answers_after_a_failure(autojump_clock: MockClock) -> None:
    refused = UpstreamFailure(K.REFUSED, "no connection")
    main = ScriptedProvider(head=refused)
    async with open_harness(main, ScriptedProvider(*HELLO, name="spare")) as harness:
        response = await harness.chat()
        assert read_completion(response.content).model == "spare-model"


async def test_stream_starts_before_a_late_upstream_head(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(head=FOREVER)
    async with open_harness(main, turns={"commit_after_s": 5, "heartbeat_s": 4}) as harness:
        body = chat_body(stream=True)
        async with harness.client.stream("POST", "/v1/chat/completions", json=body) as response:
            assert response.status_code == 200
            assert trio.current_time() == 5
            stream = await response.aread()
        (frame,) = frames_of(stream)
        assert "first_byte_timeout" in frame.data
        assert stream.count(HEARTBEAT) >= 4
    assert trio.current_time() == 20


@pytest.mark.parametrize(("lines", "status"), PARTIAL_ANSWERS)
async def test_failure_mid_stream_is_an_error_without_done(
    autojump_clock: MockClock, lines: list[Line], status: int
) -> None:
    async with open_harness(ScriptedProvider(*lines)) as harness:
        stream = await harness.stream_chat()
        *_, last = frames_of(stream)
        assert last.data.startswith('{"error":')
        assert b"[DONE]" not in stream
    async with open_harness(ScriptedProvider(*lines)) as harness:
        response = await harness.chat()
        assert response.status_code == status
        error_of(response)


async def test_spooled_record_is_reported(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(text("a"), 1.0, stop())) as harness:
        harness.store.trouble["finalise"] = StoreFault.REFUSES
        stream = await harness.stream_chat()
        assert comments_of(stream)[-1] == "stored spooled"
        assert stream.index(b": stored spooled") < stream.index(b"[DONE]")
        response = await harness.chat()
        assert response.headers["x-turn-stored"] == "spooled"


async def test_heartbeats_fill_silence(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 19.0, text("b"), stop())
    async with open_harness(main, turns={"heartbeat_s": 4}) as harness:
        times = await harness.chunk_times("/v1/chat/completions", chat_body(stream=True))
        assert max(b - a for a, b in pairwise([0.0, *times])) <= 4 + 1e-9


STAGES = [
    (0.5, DisconnectStage.BEFORE_FIRST_TOKEN),
    (1.5, DisconnectStage.BEFORE_FIRST_TOKEN),
    (2.5, DisconnectStage.MID_STREAM),
    (3.5, DisconnectStage.AFTER_END),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("at", "stage"), STAGES)
async def test_disconnect_ends_the_turn_at_once(
    autojump_clock: MockClock, at: float, stage: DisconnectStage, stream: bool
) -> None:
    main = ScriptedProvider(1.0, text("Hello"), 1.0, stop(), 1.0, head=1.0)
    async with open_harness(main) as harness:
        with trio.move_on_after(at):
            await harness.chat(stream=stream)
        await harness.app.exchanges[0].done.wait()
        assert trio.current_time() == at
        record = harness.turns.record
        assert record.disconnect_stage == stage.value
        assert len(harness.registry) == 0
        assert main.opening == 0
        assert all(answer.left_at == at for answer in main.answers)


async def test_background_turn_outlives_its_client(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(5.0, *HELLO)
    async with open_harness(main, mode=Mode.BACKGROUND) as harness:
        with trio.move_on_after(1):
            await harness.chat(stream=True)
        await harness.registry.wait_empty()
        assert harness.turns.record.reason == Reason.STOP.value


async def test_parameters_reach_the_provider(autojump_clock: MockClock) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await harness.chat(temperature=0.1, tools=tools, unknown_parameter={"a": [1]})
        ((call, _),) = harness.turns.providers["main"].calls
        assert call.parameters == {
            "temperature": 0.1,
            "tools": tools,
            "unknown_parameter": {"a": [1]},
        }
        assert write_messages(call.messages) == [{"role": "user", "content": "Hi"}]


async def test_unstored_turn_has_only_its_row(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await harness.chat(store=False)
        assert harness.turns.record.text == ""
        assert harness.store.kept == {}


async def test_concurrent_turns_do_not_mix(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(0.1, text("a"), 0.1, text("b"), stop())) as harness:
        streams: list[bytes] = []

        async def one(harness: EdgeHarness) -> None:
            streams.append(await harness.stream_chat())

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one, harness)
        texts = [[frame.data for frame in frames_of(stream)] for stream in streams]
        ids = {read_chunk(data).id for datas in texts for data in datas[:-1]}
        assert len(ids) == 50
        assert {len(datas) for datas in texts} == {5}
        assert len(harness.store.finals) == 50
