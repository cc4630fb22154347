"""The official `anthropic` SDK as a client of `/v1/messages`, with upstreams of every format."""

import json
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
import trio
from anthropic.types import Message, MessageParam
from anthropic.types.shared import ErrorResponse

from tests.support.live.call_recorder import BASE_PATHS, IN_PROCESS, serving_all_formats
from tests.support.live.event_loops import Runner, on_each_loop
from tests.support.live.harness import Process, Server, serving, write_config
from tests.support.live.http_client import calling, ended_turn, reports
from tests.support.live.messages_client import (
    DEFAULT_MAX_TOKENS,
    QUESTION,
    WEATHER,
    async_sdk,
    create_message,
    open_message,
    sdk,
    text_of,
)
from tests.support.live.messages_client import stream_events as read_events
from tests.support.messages_readers import check_grammar
from tests.support.strict_types import strictly

FORMATS = [*BASE_PATHS, IN_PROCESS]
QUICK = "first=0,delay=1ms"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """Run a server with a provider for each format."""
    with serving_all_formats(tmp_path_factory.mktemp("messages"), upstream.port) as process:
        yield process


@pytest.fixture
def client(server: Server) -> Iterator[anthropic.Anthropic]:
    with sdk(server) as client:
        yield client


def stream_checked(client: anthropic.Anthropic, model: str, **more: Any) -> list[Any]:
    """Return the validated events of a stream, after checking their order."""
    found = read_events(client, model, **more)
    check_grammar(found)
    return found


def stream_message(client: anthropic.Anthropic, model: str, **more: Any) -> Message:
    """Return the message that the SDK assembles from a stream."""
    with client.messages.stream(
        **{"model": model, "max_tokens": DEFAULT_MAX_TOKENS, "messages": QUESTION, **more}
    ) as stream:
        return stream.get_final_message()


def comparable_content(message: Message) -> list[dict[str, Any]]:
    """Return the content blocks without ids and without fields that the SDK adds."""
    return [block.model_dump(exclude={"parsed_output", "id"}) for block in message.content]


@pytest.mark.parametrize("format", FORMATS)
def test_text_streamed_and_unstreamed_through_every_format(
    client: anthropic.Anthropic, format: str
) -> None:
    model = f"{format}/sim:{QUICK},tokens=30"
    events = stream_checked(client, model)
    text = "".join(e.delta.text for e in events if e.type == "content_block_delta")
    message = create_message(client, model)
    final = stream_message(client, model)
    assert text == text_of(message) == text_of(final) != ""
    assert message.stop_reason == final.stop_reason == "end_turn"
    assert message.model == model
    figures = (message.usage.input_tokens, message.usage.output_tokens)
    assert (final.usage.input_tokens, final.usage.output_tokens) == figures
    assert figures[1] == 30


@pytest.mark.parametrize("format", FORMATS)
def test_tool_calls_and_their_results_through_every_format(
    client: anthropic.Anthropic, format: str
) -> None:
    model = f"{format}/sim:{QUICK},tool=2"
    events = stream_checked(client, model, tools=[WEATHER])
    message = create_message(client, model, tools=[WEATHER])
    final = stream_message(client, model, tools=[WEATHER])
    calls = [block for block in final.content if block.type == "tool_use"]
    assert comparable_content(message) == comparable_content(final)
    assert message.stop_reason == final.stop_reason == "tool_use"
    assert [call.name for call in calls] == ["weather", "weather"]
    assert all(call.input.keys() == {"city"} and call.id for call in calls)
    starts = [e.content_block for e in events if e.type == "content_block_start"]
    assert [start.input for start in starts if start.type == "tool_use"] == [{}, {}]
    follow_up: list[MessageParam] = [
        *QUESTION,
        final.to_param(),
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": call.id, "content": "It rains."}
                for call in calls
            ],
        },
    ]
    answer = create_message(client, f"{format}/sim:{QUICK}", messages=follow_up, tools=[WEATHER])
    assert text_of(answer).startswith("The tool says: It rains.")


@pytest.mark.parametrize("format", FORMATS)
def test_thinking_through_every_format_and_back(client: anthropic.Anthropic, format: str) -> None:
    model = f"{format}/sim:{QUICK},reasoning=5,tokens=12"
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    events = stream_checked(client, model, thinking=thinking)
    final = stream_message(client, model, thinking=thinking)
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert comparable_content(final) == comparable_content(
        create_message(client, model, thinking=thinking)
    )
    thought = final.content[0]
    assert thought.type == "thinking"
    assert thought.thinking
    signed = format == "anthropic"
    assert bool(thought.signature) is signed
    deltas = {e.delta.type for e in events if e.type == "content_block_delta"}
    assert deltas == {"thinking_delta", "text_delta"} | ({"signature_delta"} if signed else set())
    follow_up: list[MessageParam] = [*QUESTION, final.to_param(), *QUESTION]
    assert text_of(create_message(client, model, messages=follow_up, thinking=thinking))


@on_each_loop
def test_async_streamed_and_unstreamed_messages_are_equal(server: Server, run: Runner) -> None:
    model = f"openai-chat/sim:{QUICK}"

    async def main() -> None:
        async with async_sdk(server) as client:
            async with client.messages.stream(
                model=model, max_tokens=DEFAULT_MAX_TOKENS, messages=QUESTION
            ) as stream:
                text = "".join([piece async for piece in stream.text_stream])
            message = await client.messages.create(
                model=model, max_tokens=DEFAULT_MAX_TOKENS, messages=QUESTION
            )
            assert text_of(message) == text != ""
            counted = await client.messages.count_tokens(model=model, messages=QUESTION)
            assert counted.input_tokens > 0

    run(main)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [("filter=3", "refusal"), ("tokens=3000", "max_tokens"), ("tokens=3", "end_turn")],
)
def test_stop_reason_of_settings(client: anthropic.Anthropic, settings: str, reason: str) -> None:
    model = f"openai-chat/sim:first=0,delay=0,{settings}"
    assert stream_checked(client, model)[-2].delta.stop_reason == reason
    assert create_message(client, model).stop_reason == reason


def test_token_count_matches_the_usage_in_message_start(client: anthropic.Anthropic) -> None:
    long: list[MessageParam] = [{"role": "user", "content": "Who is on stage? " * 200}]
    model = f"openai-chat/counted:{QUICK},tokens=3"
    few = client.messages.count_tokens(model=model, messages=QUESTION)
    many = client.messages.count_tokens(model=model, messages=long, system="Be kind.")
    assert 0 < few.input_tokens < 50 < 500 < many.input_tokens < 2000
    start, *_ = stream_checked(client, model)
    assert start.message.usage.input_tokens == few.input_tokens


async def test_request_parameters_reach_the_provider(
    client: anthropic.Anthropic, upstream: Process
) -> None:
    schema: Any = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    for format in ("openai-chat", "anthropic", "gemini"):
        message = create_message(
            client,
            f"{format}/sim:{QUICK}",
            system="Answer.",
            max_tokens=50,
            output_config={"format": {"type": "json_schema", "schema": schema}},
        )
        assert json.loads(text_of(message)).keys() == {"a"}
    for format in ("openai-chat", "anthropic"):
        named = create_message(
            client,
            f"{format}/sim:{QUICK}",
            tools=[WEATHER],
            tool_choice={"type": "tool", "name": "weather"},
            metadata={"user_id": f"asked-{format}"},
        )
        assert [block.type for block in named.content] == ["tool_use"]
        (report,) = await reports(upstream, f"asked-{format}")
        assert report["user"] == f"asked-{format}"


async def test_ignored_parameter_is_warned_about_in_a_comment(server: Server) -> None:
    system = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]
    for format, warned in (("openai-chat", True), ("gemini", True), ("anthropic", False)):
        async with open_message(server, f"{format}/sim:{QUICK},tokens=3", system=system) as call:
            await call.head()
            frames = await call.all_frames()
        assert frames[-1].event == "message_stop"
        said = b": warning parameter_ignored" in call.body and b"cache_control" in call.body
        assert said is warned


@pytest.mark.parametrize(
    ("model", "kind", "type", "said"),
    [
        ("nobody", anthropic.NotFoundError, "not_found_error", "Unknown model 'nobody'"),
        ("{}/sim:error=400", anthropic.BadRequestError, "invalid_request_error", "refuses"),
        ("{}/sim:context", anthropic.BadRequestError, "invalid_request_error", "(context|too) l"),
        ("{}/sim:oops", anthropic.NotFoundError, "not_found_error", "unknown setting"),
        ("{}/sim:error=429,retry=60", anthropic.RateLimitError, "rate_limit_error", "limit"),
        ("{}/sim:error=500", anthropic.InternalServerError, "api_error", "failed"),
        (
            "{}/sim:error=503",
            anthropic.ServiceUnavailableError,
            "overloaded_error",
            "overloaded|unavailable",
        ),
        ("{}/sim:refuse", anthropic.InternalServerError, "api_error", "connection"),
    ],
)
@pytest.mark.parametrize("format", ["openai-chat", "anthropic"])
def test_errors_raise_the_matching_sdk_exceptions(
    client: anthropic.Anthropic,
    format: str,
    model: str,
    kind: type[anthropic.APIStatusError],
    type: str,
    said: str,
) -> None:
    for stream in (False, True):
        with pytest.raises(kind, match=said) as caught:
            client.messages.create(
                model=model.format(format),
                max_tokens=DEFAULT_MAX_TOKENS,
                messages=QUESTION,
                stream=stream,
            )
        error = strictly(ErrorResponse, json.dumps(caught.value.body))
        headers = caught.value.response.headers
        assert error.error.type == caught.value.type == type
        assert error.request_id == caught.value.request_id == headers["x-request-id"]
    if kind is anthropic.RateLimitError:
        assert headers["retry-after"] == "60"


def test_bad_request_names_the_field(client: anthropic.Anthropic) -> None:
    wrong: list[Any] = [{"role": "user", "content": [{"type": "video", "video": "x"}]}]
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\].content\[0\].type: "):
        client.messages.create(
            model="openai-chat/sim", max_tokens=DEFAULT_MAX_TOKENS, messages=wrong
        )
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\].content\[0\].type: "):
        client.messages.count_tokens(model="openai-chat/sim", messages=wrong)
    search: Any = {"type": "web_search_20250305", "name": "web_search"}
    with pytest.raises(anthropic.BadRequestError, match="tool_choice: "):
        create_message(client, "openai-chat/sim", tools=[search], tool_choice={"type": "any"})
    document: Any = {"type": "document", "source": {"type": "url", "url": "https://a.test/b.pdf"}}
    with pytest.raises(
        anthropic.BadRequestError, match=r"messages\[0\].content\[0\] is of the kind"
    ):
        create_message(client, "ollama/sim", messages=[{"role": "user", "content": [document]}])


@pytest.mark.parametrize("fault", ["cut=4", "errorframe=4", "reset=4"])
@pytest.mark.parametrize("format", ["openai-chat", "anthropic"])
def test_interrupted_stream_raises(client: anthropic.Anthropic, format: str, fault: str) -> None:
    event_types: list[str] = []
    model = f"{format}/sim:{QUICK},reasoning=2,{fault}"
    with (
        client.messages.stream(
            model=model, max_tokens=DEFAULT_MAX_TOKENS, messages=QUESTION
        ) as stream,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        event_types.extend(event.type for event in stream)
    strictly(ErrorResponse, json.dumps(caught.value.body))
    assert caught.value.type == "api_error"
    assert "content_block_delta" in event_types
    assert "message_stop" not in event_types


async def test_closing_a_stream_early_closes_upstream(
    client: anthropic.Anthropic, server: Server, upstream: Process
) -> None:
    raw = client.messages.with_raw_response.create(
        model="openai-chat/sim:delay=20ms,tokens=5000",
        max_tokens=DEFAULT_MAX_TOKENS * 10,
        messages=QUESTION,
        stream=True,
        metadata={"user_id": "messages-leaver"},
    )
    stream = raw.parse()
    received = [next(stream).type for _ in range(6)]
    left_at = time.monotonic()
    stream.close()
    assert received[:3] == ["message_start", "content_block_start", "content_block_delta"]
    found = await ended_turn(server, raw.headers["x-turn-id"])
    assert (found["reason"], found["disconnect_stage"]) == ("client_disconnected", "mid_stream")
    (report,) = await reports(upstream, "messages-leaver")
    assert isinstance(report["closed_at"], float)
    assert 0 < report["closed_at"] - left_at < 1
    assert report["ended_at"] is None


def test_raw_response_has_the_turn_and_request_ids(client: anthropic.Anthropic) -> None:
    raw = client.messages.with_raw_response.create(
        model=f"openai-chat/sim:{QUICK}", max_tokens=DEFAULT_MAX_TOKENS, messages=QUESTION
    )
    message = raw.parse()
    assert message.id == "msg_" + raw.headers["x-turn-id"].removeprefix("turn_")
    assert message._request_id == raw.headers["request-id"] == raw.headers["x-request-id"]


def test_models_are_objects_of_the_api(client: anthropic.Anthropic) -> None:
    assert list(client.models.list(limit=2)) == []
    model = client.models.retrieve("anthropic/claude-x")
    assert (model.type, model.id, model.display_name) == ("model", *["anthropic/claude-x"] * 2)
    assert model.created_at.tzinfo is not None
    with pytest.raises(anthropic.NotFoundError, match="Unknown model"):
        client.models.retrieve("nobody")


async def test_http_errors_have_the_messages_error_format(tmp_path: Any, upstream: Process) -> None:
    settings = "grace_s = 0\nbody_s = 0.3\n[limits]\nbody_bytes = 1000\n"
    config = write_config(tmp_path, upstream.port, settings)
    with serving(tmp_path, config) as server:
        for method, target, body, status, kind in (
            ("GET", "/v1/messages", b"", 405, "invalid_request_error"),
            ("POST", "/v1/messages/batches", b"", 404, "not_found_error"),
            ("POST", "/v1/messages", b"x" * 1001, 413, "request_too_large"),
            ("POST", "/v1/messages", b"nonsense", 400, "invalid_request_error"),
        ):
            async with calling(server.port) as call:
                await call.request(method, target, body)
                assert await call.head() == status
                document = json.loads(await call.read_all())
            assert document["error"]["type"] == kind
            assert document["request_id"] == call.headers["request-id"]
            assert document["request_id"] == call.headers["x-request-id"]
        slow = await trio.open_tcp_stream("127.0.0.1", server.port)
        async with slow:
            await slow.send_all(
                b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"
            )
            answer = b""
            with trio.fail_after(10):
                while b'"timeout_error"' not in answer:
                    answer += await slow.receive_some()
        assert answer.startswith(b"HTTP/1.1 408 ")
