"""`POST /v1/messages` and the count of tokens, from the request to the last byte and the record."""

from itertools import pairwise
from typing import Any

import httpx
import pytest
import trio
from anthropic.types import MessageTokensCount
from anthropic.types.shared import ErrorResponse
from trio.testing import MockClock

from actors.chunks import Chunk, ReasoningChunk, ToolCallChunk
from actors.outcome import DisconnectStage, Reason
from actors.providers.base import FailureKind, UpstreamFailure
from tests.actors.fakes import FOREVER, Line, ScriptedProvider, Trouble, stop, text
from tests.web.dialects.messages_reading import (
    accumulated,
    check_grammar,
    frames_of,
    read_event,
    read_message,
)
from tests.web.dialects.reading import comments_of
from tests.web.dialects.reading import frames_of as chat_frames_of
from tests.web.dialects.strict import strictly
from tests.web.house import BROKEN_OFF, House, in_a_moment, open_house
from web.dialects.messages import PING

HELLO: list[Line] = [text("Hel"), text("lo"), stop()]
K = FailureKind


def asking(**changes: object) -> dict[str, object]:
    """The body of a Messages request."""
    question = [{"role": "user", "content": "Hi"}]
    return {"model": "large", "max_tokens": 100, "messages": question} | changes


async def ask(house: House, **changes: object) -> httpx.Response:
    """A message, read to its end."""
    return await house.post("/v1/messages", json=asking(**changes))


async def events_of(house: House, **changes: object) -> list[Any]:
    """The events of a stream, strictly read."""
    response = await ask(house, stream=True, **changes)
    assert response.status_code == 200, response.text
    found = [read_event(frame) for frame in frames_of(response.content)]
    check_grammar(found)
    return found


def error_of(response: httpx.Response, kind: str | None = None) -> str:
    """The message of an error in the API's shape; `kind` where the SDK has no type for it."""
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


async def test_a_stream(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        response = await ask(house, stream=True)
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["x-turn-id"] == "turn_1"
        assert response.headers["request-id"]
        assert response.content.startswith(PING)
        message = accumulated([read_event(frame) for frame in frames_of(response.content)])
        assert (message.id, message.model) == ("msg_1", "main-model")
        assert [block.to_dict()["text"] for block in message.content] == ["Hello"]
        assert message.stop_reason == "end_turn"
        assert house.theatre.record.text == "Hello"
        assert house.theatre.record.turn.dialect == "anthropic-messages"


async def test_the_start_tells_what_the_prompt_is_estimated_at(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        start, *_ = await events_of(house)
        counted = await house.post("/v1/messages/count_tokens", json=asking())
        assert start.message.usage.input_tokens == counted.json()["input_tokens"] > 0


async def test_a_whole_message(autojump_clock: MockClock) -> None:
    thinking = ReasoningChunk("hm")
    call: list[Chunk] = [
        ToolCallChunk(0, "call_1", "f", '{"a":'),
        ToolCallChunk(0, None, None, "1}"),
    ]
    main = ScriptedProvider([thinking], [*text("Well")], call, stop(Reason.TOOL_CALLS))
    async with open_house(main) as house:
        response = await ask(house)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-turn-id"] == "turn_1"
        assert response.headers["request-id"]
        message = read_message(response.content)
        assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
        assert message.stop_reason == "tool_use"
        streamed = accumulated(await events_of(house))
        assert [block.to_dict() for block in streamed.content] == [
            block.to_dict() for block in message.content
        ]


async def test_what_is_asked_goes_to_the_provider_as_a_chat(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await ask(house, system="Be kind.", stop_sequences=["END"], thinking={"type": "adaptive"})
        ((call, _),) = house.theatre.providers["main"].calls
        assert call.messages == [
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


async def test_headers_of_the_api_may_say_anything(autojump_clock: MockClock) -> None:
    headers = {"x-api-key": "whatever", "anthropic-version": "1999-01-01", "anthropic-beta": "x"}
    async with open_house(ScriptedProvider(*HELLO)) as house:
        response = await house.post("/v1/messages?beta=true", json=asking(), headers=headers)
        assert response.status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_a_bad_request_is_no_turn(autojump_clock: MockClock, path: str, stream: bool) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        wrong = [{"role": "user", "content": [{"type": "text"}]}]
        response = await house.post(path, json=asking(messages=wrong, stream=stream))
        assert response.status_code == 400
        assert error_of(response) == "messages[0].content[0].text: field required."
        response = await house.post(path, content=b"nonsense")
        assert response.status_code == 400
        assert "not valid JSON" in error_of(response)
        assert house.store.begun == {}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_an_unknown_model_is_told_the_names(autojump_clock: MockClock, path: str) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        response = await house.post(path, json=asking(model="tiny"))
        assert response.status_code == 404
        assert "The models are: large." in error_of(response, "not_found_error")


async def test_tokens_are_counted_without_asking_anybody(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        least = {"model": "large", "messages": [{"role": "user", "content": "Hi"}]}
        response = await house.post("/v1/messages/count_tokens", json=least)
        assert response.status_code == 200
        few = strictly(MessageTokensCount, response.content).input_tokens
        long = {"role": "user", "content": [{"type": "text", "text": "word " * 1000}]}
        tool = {"name": "f", "input_schema": {"type": "object", "properties": {"a": {}}}}
        counts = [few]
        for more in ({"messages": [long]}, {"messages": [long], "tools": [tool]}):
            response = await house.post("/v1/messages/count_tokens", json=least | more)
            counts.append(response.json()["input_tokens"])
        assert all(a < b for a, b in pairwise([0, *counts]))
        assert 500 < counts[1] < 3000
        assert house.theatre.providers["main"].calls == []
        assert house.store.begun == {}


async def test_the_count_learns_from_what_the_first_route_told(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        text = {"role": "user", "content": "word " * 1000}
        asked = asking(messages=[text])
        before = (await house.post("/v1/messages/count_tokens", json=asked)).json()
        call = house.theatre.providers["main"]
        await ask(house, messages=[text])
        ((seen, _),) = call.calls
        for _ in range(3):
            house.service.estimates.learn_input("main/main-model", seen, 1900)
        after = (await house.post("/v1/messages/count_tokens", json=asked)).json()
        assert before["input_tokens"] < after["input_tokens"] == pytest.approx(1900, abs=20)


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("PUT", "/v1/messages/count_tokens", 405, "invalid_request_error"),
        ("POST", "/v1/messages/nothing", 404, "not_found_error"),
    ],
)
async def test_errors_of_the_framework_have_the_same_shape(
    autojump_clock: MockClock, method: str, path: str, status: int, kind: str
) -> None:
    async with open_house() as house:
        response = await house.client.request(method, path)
        assert response.status_code == status
        error_of(response, kind)


@pytest.mark.parametrize("path", ["/v1/messages2", "/v1/turns/messages", "/v1/chat/completions"])
async def test_other_surfaces_keep_theirs(autojump_clock: MockClock, path: str) -> None:
    async with open_house() as house:
        response = await house.get(path)
        assert set(response.json()) == {"error"}
        assert "request-id" not in response.headers


async def test_a_body_that_is_too_long(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO), limits={"body_bytes": 100}) as house:
        response = await ask(house, messages=[{"role": "user", "content": "x" * 200}])
        assert response.status_code == 413
        error_of(response, "request_too_large")


async def test_a_crash_is_an_error_like_any_other(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        monkeypatch.setattr(type(house.service.planner), "find", lambda self, name: 1 / 0)
        response = await ask(house)
        assert response.status_code == 500
        assert error_of(response, "api_error").endswith("(internal)")


async def test_while_draining_new_turns_are_refused(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        house.registry.draining = True
        response = await ask(house)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert "draining" in error_of(response, "overloaded_error")


async def test_a_store_that_takes_no_turns(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        house.store.trouble["begin"] = Trouble.REFUSES
        for stream in (False, True):
            response = await ask(house, stream=stream)
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
async def test_a_failure_before_any_route_answers_is_a_status(
    autojump_clock: MockClock, head: Line, status: int, kind: str, stream: bool
) -> None:
    async with open_house(ScriptedProvider(head=head)) as house:
        response = await ask(house, stream=stream)
        assert response.status_code == status
        assert response.headers["x-turn-id"] == "turn_1"
        assert response.headers.get("retry-after") == ("7" if status == 429 else None)
        assert error_of(response, kind)


async def test_who_waits_long_for_a_head_gets_pings_and_an_error(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(head=FOREVER)
    async with open_house(main, turns={"commit_after_s": 5, "heartbeat_s": 4}) as house:
        response = await ask(house, stream=True)
        assert response.status_code == 200
        (frame,) = frames_of(response.content)
        assert read_event(frame).error.type == "timeout_error"
        assert response.content.count(PING) >= 4


@pytest.mark.parametrize(("lines", "status"), BROKEN_OFF)
async def test_a_failure_in_the_middle_is_an_error_and_never_a_stop(
    autojump_clock: MockClock, lines: list[Line], status: int
) -> None:
    async with open_house(ScriptedProvider(*lines)) as house:
        found = await events_of(house)
        assert found[-1].type == "error"
        response = await ask(house)
        assert response.status_code == status
        error_of(response)


async def test_the_next_route_answers_instead(autojump_clock: MockClock) -> None:
    spare = ScriptedProvider(*HELLO, name="spare")
    main = ScriptedProvider(head=UpstreamFailure(K.REFUSED, "no connection"))
    async with open_house(main, spare) as house:
        start, *_ = await events_of(house)
        assert start.message.model == "spare-model"


async def test_a_record_that_was_spooled_is_said(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(text("a"), 1.0, stop())) as house:
        house.store.trouble["finalise"] = Trouble.REFUSES
        response = await ask(house, stream=True)
        assert comments_of(response.content)[-1] == "stored spooled"
        check_grammar([read_event(frame) for frame in frames_of(response.content)])
        assert (await ask(house)).headers["x-turn-stored"] == "spooled"


async def test_pings_fill_silence(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), 19.0, text("b"), stop())
    async with open_house(main, turns={"heartbeat_s": 4}) as house:
        heard = await house.heard_at("/v1/messages", asking(stream=True))
        assert max(b - a for a, b in pairwise([0.0, *heard])) <= 4 + 1e-9


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_its_turn_at_once(
    autojump_clock: MockClock, stream: bool
) -> None:
    main = ScriptedProvider(1.0, text("Hello"), 1.0, stop(), head=1.0)
    async with open_house(main) as house:
        with trio.move_on_after(2.5):
            await ask(house, stream=stream)
        await house.app.exchanges[0].done.wait()
        assert trio.current_time() == 2.5
        assert house.theatre.record.disconnect_stage == DisconnectStage.MID_STREAM.value
        assert all(answer.left_at == 2.5 for answer in main.answers)


async def test_a_stream_is_resumed_after_every_frame_live_and_ended(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(text("a"), 1.0, text("b"), 1.0, stop())
    whole: list[bytes] = []

    async def start(house: House) -> None:
        whole.append((await ask(house, stream=True)).content)

    async with open_house(main) as house:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(start, house)
            await in_a_moment()
            live = (await house.get("/v1/turns/turn_1/events?starting_after=1")).content
        frames = frames_of(whole[0])
        assert frames_of(live) == frames[2:]
        for k, frame in enumerate(frames[:-1], 1):
            headers = {"Last-Event-ID": frame.id}
            again = await house.get("/v1/turns/turn_1/events", headers=headers)
            assert frames_of(again.content) == frames[k:]
        headers = {"Last-Event-ID": frames[-1].id}
        over = await house.get("/v1/turns/turn_1/events", headers=headers)
        assert (over.status_code, over.content) == (204, b"")


async def test_a_turn_can_be_read_in_another_dialect(autojump_clock: MockClock) -> None:
    async with open_house(ScriptedProvider(*HELLO)) as house:
        await house.chat()
        await ask(house)
        as_messages = await house.get("/v1/turns/turn_1/events?dialect=anthropic-messages")
        message = accumulated([read_event(f) for f in frames_of(as_messages.content)])
        assert message.stop_reason == "end_turn"
        as_chat = await house.get("/v1/turns/turn_2/events?dialect=openai-chat")
        assert chat_frames_of(as_chat.content)[-1].data == "[DONE]"
