"""`POST /v1/messages` and token counts, from the request to the last byte and the record."""

from itertools import pairwise
from typing import Any

import httpx
import pytest
import trio
from anthropic.types import MessageTokensCount
from anthropic.types.shared import ErrorResponse
from trio.testing import MockClock

from actors.turn.chat_messages import write_messages
from actors.turn.chunks import Chunk, ReasoningChunk, ToolCallChunk
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import DisconnectStage, Reason
from tests.support.chat_readers import comments_of
from tests.support.chat_readers import frames_of as chat_frames_of
from tests.support.edge_harness import PARTIAL_ANSWERS, EdgeHarness, brief_pause, open_harness
from tests.support.messages_readers import (
    accumulated,
    check_grammar,
    frames_of,
    read_event,
    read_message,
)
from tests.support.strict_types import strictly
from tests.support.turn_fakes import FOREVER, Line, ScriptedProvider, StoreFault, stop, text
from web.dialects.anthropic_messages.stream import PING

HELLO: list[Line] = [text("Hel"), text("lo"), stop()]
K = FailureKind


def message_body(**changes: object) -> dict[str, object]:
    """Return the body of a Messages request."""
    question = [{"role": "user", "content": "Hi"}]
    return {"model": "large", "max_tokens": 100, "messages": question} | changes


async def ask(harness: EdgeHarness, **changes: object) -> httpx.Response:
    """Request a message and read the response to its end."""
    return await harness.post("/v1/messages", json=message_body(**changes))


async def events_of(harness: EdgeHarness, **changes: object) -> list[Any]:
    """Stream a message and return its events, parsed strictly."""
    response = await ask(harness, stream=True, **changes)
    assert response.status_code == 200, response.text
    found = [read_event(frame) for frame in frames_of(response.content)]
    check_grammar(found)
    return found


@pytest.mark.parametrize(
    ("headers", "betas"),
    [
        ([], ()),
        (
            [("anthropic-beta", "a-2025-01-01, b-2025-01-01,a-2025-01-01")],
            ("a-2025-01-01", "b-2025-01-01"),
        ),
        ([("anthropic-beta", "a"), ("Anthropic-Beta", "b")], ("a", "b")),
        ([("anthropic-beta", " ,a b,-x,{}," + "y" * 101)], ()),
        ([("anthropic-beta", ",".join(map(str, range(500))))], tuple(map(str, range(100)))),
    ],
)
async def test_betas_of_the_client_are_part_of_the_call(
    headers: list[tuple[str, str]], betas: tuple[str, ...]
) -> None:
    provider = ScriptedProvider(*HELLO)
    async with open_harness(provider) as harness:
        path = "/v1/messages?beta=true"
        response = await harness.post(path, json=message_body(), headers=headers)
        assert response.status_code == 200
    call = provider.calls[0][0]
    assert (call.betas, call.client) == (betas, "anthropic")


def error_of(response: httpx.Response, kind: str | None = None) -> str:
    """Return the message of an error in the API's format; `kind` is for types the SDK lacks."""
    document = response.json()
    assert document["request_id"]
    assert response.headers["request-id"]
    if kind is None:
        return str(strictly(ErrorResponse, response.content).error.message)
    assert document.keys() == {"type", "error", "request_id"}
    assert document["type"] == "error"
    assert document["error"].keys() == {"type", "message"}
    assert document["error"]["type"] == kind
    return str(document["error"]["message"])


async def test_stream(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        response = await ask(harness, stream=True)
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["x-turn-id"] == "turn_1"
        assert response.headers["request-id"]
        assert response.content.startswith(PING)
        message = accumulated([read_event(frame) for frame in frames_of(response.content)])
        assert (message.id, message.model) == ("msg_1", "large")
        assert [block.to_dict()["text"] for block in message.content] == ["Hello"]
        assert message.stop_reason == "end_turn"
        assert harness.turns.record.text == "Hello"
        assert harness.turns.record.turn.dialect == "anthropic-messages"


async def test_message_start_has_the_estimated_input_tokens(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        start, *_ = await events_of(harness)
        counted = await harness.post("/v1/messages/count_tokens", json=message_body())
        assert start.message.usage.input_tokens == counted.json()["input_tokens"] > 0


async def test_non_streaming_message(autojump_clock: MockClock) -> None:
    thinking = ReasoningChunk("hm")
    call: list[Chunk] = [
        ToolCallChunk(0, "call_1", "f", '{"a":'),
        ToolCallChunk(0, None, None, "1}"),
    ]
    main = ScriptedProvider([thinking], [*text("Well")], call, stop(Reason.TOOL_CALLS))
    async with open_harness(main) as harness:
        response = await ask(harness)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-turn-id"] == "turn_1"
        assert response.headers["request-id"]
        message = read_message(response.content)
        assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
        assert message.stop_reason == "tool_use"
        streamed = accumulated(await events_of(harness))
        assert [block.to_dict() for block in streamed.content] == [
            block.to_dict() for block in message.content
        ]


async def test_request_reaches_the_provider_as_a_chat(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await ask(harness, system="Be kind.", stop_sequences=["END"], thinking={"type": "adaptive"})
        ((call, _),) = harness.turns.providers["main"].calls
        assert write_messages(call.messages) == [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi"},
        ]
        assert call.parameters == {
            "max_tokens": 100,
            "stop": ["END"],
            "thinking": {"type": "adaptive"},
            "reasoning_effort": "medium",
        }
        assert call.foreign == {"thinking": ("reasoning_effort",)}


async def test_api_headers_are_ignored(autojump_clock: MockClock) -> None:
    headers = {"x-api-key": "whatever", "anthropic-version": "1999-01-01", "anthropic-beta": "x"}
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        response = await harness.post(
            "/v1/messages?beta=true", json=message_body(), headers=headers
        )
        assert response.status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_invalid_request_starts_no_turn(
    autojump_clock: MockClock, path: str, stream: bool
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        wrong = [{"role": "user", "content": [{"type": "text"}]}]
        response = await harness.post(path, json=message_body(messages=wrong, stream=stream))
        assert response.status_code == 400
        assert error_of(response) == "messages[0].content[0].text: field required."
        response = await harness.post(path, content=b"nonsense")
        assert response.status_code == 400
        assert "not valid JSON" in error_of(response)
        assert harness.store.begun == {}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_unknown_model_error_lists_the_models(autojump_clock: MockClock, path: str) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        response = await harness.post(path, json=message_body(model="tiny"))
        assert response.status_code == 404
        assert "The models are: large." in error_of(response, "not_found_error")


async def test_tokens_are_counted_without_a_provider(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        least = {"model": "large", "messages": [{"role": "user", "content": "Hi"}]}
        response = await harness.post("/v1/messages/count_tokens", json=least)
        assert response.status_code == 200
        few = strictly(MessageTokensCount, response.content).input_tokens
        long = {"role": "user", "content": [{"type": "text", "text": "word " * 1000}]}
        tool = {"name": "f", "input_schema": {"type": "object", "properties": {"a": {}}}}
        counts = [few]
        for more in ({"messages": [long]}, {"messages": [long], "tools": [tool]}):
            response = await harness.post("/v1/messages/count_tokens", json=least | more)
            counts.append(response.json()["input_tokens"])
        assert all(a < b for a, b in pairwise([0, *counts]))
        assert 500 < counts[1] < 3000
        assert harness.turns.providers["main"].calls == []
        assert harness.store.begun == {}


async def test_token_count_learns_from_the_first_route(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        text = {"role": "user", "content": "word " * 1000}
        body = message_body(messages=[text])
        before = (await harness.post("/v1/messages/count_tokens", json=body)).json()
        call = harness.turns.providers["main"]
        await ask(harness, messages=[text])
        ((seen, _),) = call.calls
        for _ in range(3):
            harness.service.estimates.learn_input("main/main-model", seen, 1900)
        after = (await harness.post("/v1/messages/count_tokens", json=body)).json()
        assert before["input_tokens"] < after["input_tokens"] == pytest.approx(1900, abs=20)


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("PUT", "/v1/messages/count_tokens", 405, "invalid_request_error"),
        ("POST", "/v1/messages/nothing", 404, "not_found_error"),
    ],
)
async def test_framework_errors_have_the_format_of_the_api(
    autojump_clock: MockClock, method: str, path: str, status: int, kind: str
) -> None:
    async with open_harness() as harness:
        response = await harness.client.request(method, path)
        assert response.status_code == status
        error_of(response, kind)


@pytest.mark.parametrize("path", ["/v1/messages2", "/v1/turns/messages", "/v1/chat/completions"])
async def test_other_surfaces_keep_their_error_format(autojump_clock: MockClock, path: str) -> None:
    async with open_harness() as harness:
        response = await harness.get(path)
        assert set(response.json()) == {"error"}
        assert "request-id" not in response.headers


async def test_oversized_body_is_413(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO), limits={"body_bytes": 100}) as harness:
        response = await ask(harness, messages=[{"role": "user", "content": "x" * 200}])
        assert response.status_code == 413
        error_of(response, "request_too_large")


async def test_crash_is_an_error_in_the_format_of_the_api(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        monkeypatch.setattr(type(harness.service.planner), "find", lambda self, name: 1 / 0)
        response = await ask(harness)
        assert response.status_code == 500
        assert error_of(response, "api_error").endswith("(internal)")


async def test_new_turns_are_refused_while_draining(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        harness.registry.draining = True
        response = await ask(harness)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert "draining" in error_of(response, "overloaded_error")


async def test_unavailable_store_is_503(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        harness.store.trouble["begin"] = StoreFault.REFUSES
        for stream in (False, True):
            response = await ask(harness, stream=stream)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "2"
            assert "store_unavailable" in error_of(response, "overloaded_error")


BEFORE_CONTENT: list[tuple[Line, int, str]] = [
    (UpstreamFailure(K.REJECTED, "bad", status=400), 400, "invalid_request_error"),
    (UpstreamFailure(K.REJECTED, "gone", status=404), 404, "not_found_error"),
    (UpstreamFailure(K.REJECTED, "who?", status=401), 502, "api_error"),
    (UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=6.5), 429, "rate_limit_error"),
    (UpstreamFailure(K.SERVER_ERROR, "broken", status=500), 502, "api_error"),
    (UpstreamFailure(K.SERVER_ERROR, "away", status=503), 503, "overloaded_error"),
    (UpstreamFailure(K.REFUSED, "no connection"), 502, "api_error"),
    (UpstreamFailure(K.CONNECT_TIMEOUT, "slow"), 504, "timeout_error"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("head", "status", "kind"), BEFORE_CONTENT)
async def test_failure_before_content_is_an_http_status(
    autojump_clock: MockClock, head: Line, status: int, kind: str, stream: bool
) -> None:
    async with open_harness(ScriptedProvider(head=head)) as harness:
        response = await ask(harness, stream=stream)
        assert response.status_code == status
        assert response.headers["x-turn-id"] == "turn_1"
        assert response.headers.get("retry-after") == {429: "7", 503: "1"}.get(status)
        assert error_of(response, kind)


async def test_stream_without_upstream_head_has_pings_and_an_error(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(head=FOREVER)
    async with open_harness(main, turns={"commit_after_s": 5, "heartbeat_s": 4}) as harness:
        response = await ask(harness, stream=True)
        assert response.status_code == 200
        (frame,) = frames_of(response.content)
        assert read_event(frame).error.type == "timeout_error"
        assert response.content.count(PING) >= 4


@pytest.mark.parametrize(("lines", "status"), PARTIAL_ANSWERS)
async def test_failure_mid_stream_is_an_error_without_stop(
    autojump_clock: MockClock, lines: list[Line], status: int
) -> None:
    async with open_harness(ScriptedProvider(*lines)) as harness:
        found = await events_of(harness)
        assert found[-1].type == "error"
        response = await ask(harness)
        assert response.status_code == status
        error_of(response)


async def test_next_route_answers_after_a_failure(autojump_clock: MockClock) -> None:
    spare = ScriptedProvider(*HELLO, name="spare")
    main = ScriptedProvider(head=UpstreamFailure(K.REFUSED, "no connection"))
    async with open_harness(main, spare) as harness:
        start, *_ = await events_of(harness)
        assert start.message.model == "large", "the name that the client asked for"
        (turn,) = (await harness.get("/v1/turns")).json()["data"]
        assert turn["upstream_model"] == "spare-model"


async def test_spooled_record_is_reported(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(text("a"), 1.0, stop())) as harness:
        harness.store.trouble["finalise"] = StoreFault.REFUSES
        response = await ask(harness, stream=True)
        assert comments_of(response.content)[-1] == "stored spooled"
        check_grammar([read_event(frame) for frame in frames_of(response.content)])
        assert (await ask(harness)).headers["x-turn-stored"] == "spooled"


async def test_pings_fill_silence(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 19.0, text("b"), stop())
    async with open_harness(main, turns={"heartbeat_s": 4}) as harness:
        times = await harness.chunk_times("/v1/messages", message_body(stream=True))
        assert max(b - a for a, b in pairwise([0.0, *times])) <= 4 + 1e-9


@pytest.mark.parametrize("stream", [False, True])
async def test_disconnect_ends_the_turn_at_once(autojump_clock: MockClock, stream: bool) -> None:
    main = ScriptedProvider(1.0, text("Hello"), 1.0, stop(), head=1.0)
    async with open_harness(main) as harness:
        with trio.move_on_after(2.5):
            await ask(harness, stream=stream)
        await harness.app.exchanges[0].done.wait()
        assert trio.current_time() == 2.5
        assert harness.turns.record.disconnect_stage == DisconnectStage.MID_STREAM.value
        assert all(answer.left_at == 2.5 for answer in main.answers)


async def test_stream_resumes_after_every_frame_live_and_ended(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(text("a"), 1.0, text("b"), 1.0, stop())
    whole: list[bytes] = []

    async def start(harness: EdgeHarness) -> None:
        whole.append((await ask(harness, stream=True)).content)

    async with open_harness(main) as harness:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(start, harness)
            await brief_pause()
            live = (await harness.get("/v1/turns/turn_1/events?starting_after=1")).content
        frames = frames_of(whole[0])
        assert frames_of(live) == frames[2:]
        for k, frame in enumerate(frames[:-1], 1):
            headers = {"Last-Event-ID": frame.id}
            again = await harness.get("/v1/turns/turn_1/events", headers=headers)
            assert frames_of(again.content) == frames[k:]
        headers = {"Last-Event-ID": frames[-1].id}
        over = await harness.get("/v1/turns/turn_1/events", headers=headers)
        assert (over.status_code, over.content) == (204, b"")


async def test_turn_can_be_read_in_another_dialect(autojump_clock: MockClock) -> None:
    async with open_harness(ScriptedProvider(*HELLO)) as harness:
        await harness.chat()
        await ask(harness)
        as_messages = await harness.get("/v1/turns/turn_1/events?dialect=anthropic-messages")
        message = accumulated([read_event(f) for f in frames_of(as_messages.content)])
        assert message.stop_reason == "end_turn"
        as_chat = await harness.get("/v1/turns/turn_2/events?dialect=openai-chat")
        assert chat_frames_of(as_chat.content)[-1].data == "[DONE]"
