"""The Messages API of `trouper simulate`, tested with the `anthropic` SDK and our own client."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
import trio
from anthropic.types import (
    ImageBlockParam,
    MessageParam,
    OutputConfigParam,
    TextBlockParam,
    ThinkingConfigParam,
    ToolChoiceParam,
    ToolParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
)
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from anthropic.types.shared import ErrorResponse
from msgspec.structs import replace

from actors.providers.formats.anthropic.decoder import ANTHROPIC
from actors.providers.formats.base import Format, Translation
from actors.providers.formats.openai_chat.decoder import OPENAI_CHAT
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import Chunk, TextChunk
from actors.turn.model_call import FailureKind, ModelCall
from tests.support.live import format_parity as parity
from tests.support.live.event_loops import Runner, on_each_loop
from tests.support.live.format_parity import CHAT, PORTABLE_SETTINGS, SCHEMA, TOOL, normalised
from tests.support.live.harness import Process, until
from tests.support.live.http_client import reports
from tests.support.live.messages_client import (
    DEFAULT_MAX_TOKENS,
    QUESTION,
    WEATHER,
    async_sdk,
    create_message,
    sdk,
    stream_events,
    text_of,
)
from tests.support.strict_types import adapter, strictly


@pytest.fixture
def client(upstream: Process) -> Iterator[anthropic.Anthropic]:
    with sdk(upstream) as client:
        yield client


def grammar(events: list[Any]) -> list[str]:
    """Return the event types, with block indexes, collapsing consecutive repeats."""
    names: list[str] = []
    for event in events:
        name = f"{event.type} {event.index}" if hasattr(event, "index") else event.type
        if not names or names[-1] != name:
            names.append(name)
    return names


async def test_streamed_and_unstreamed_messages_are_equal(
    client: anthropic.Anthropic, upstream: Process
) -> None:
    events = stream_events(client, "sim:delay=1ms", metadata={"user_id": "anthropic-sdk"})
    with client.messages.stream(
        model="sim:delay=1ms", max_tokens=DEFAULT_MAX_TOKENS, messages=QUESTION
    ) as stream:
        assert "".join(stream.text_stream) != ""
        collected = stream.get_final_message()
    message = create_message(client, "sim:delay=1ms")
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    text = "".join(delta.text for delta in deltas)
    assert text == text_of(message) == text_of(collected)
    assert message.stop_reason == collected.stop_reason == events[-2].delta.stop_reason
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == events[-2].usage.output_tokens
    assert collected.usage.output_tokens == message.usage.output_tokens
    assert grammar(events) == [
        "message_start",
        "content_block_start 0",
        "content_block_delta 0",
        "content_block_stop 0",
        "message_delta",
        "message_stop",
    ]
    (report,) = await reports(upstream, "anthropic-sdk")
    assert text == report["text_sent"]
    assert message.usage.output_tokens == report["tokens_sent"]


@on_each_loop
def test_async_streamed_and_unstreamed_messages_are_equal(upstream: Process, run: Runner) -> None:
    async def main() -> None:
        async with async_sdk(upstream) as client:
            async with client.messages.stream(
                model="sim:delay=1ms", max_tokens=DEFAULT_MAX_TOKENS, messages=QUESTION
            ) as stream:
                text = "".join([piece async for piece in stream.text_stream])
            message = await client.messages.create(
                model="sim:delay=1ms", max_tokens=DEFAULT_MAX_TOKENS, messages=QUESTION
            )
            assert text_of(message) == text != ""

    run(main)


@pytest.mark.parametrize("calls", [1, 2])
def test_tool_calls_and_their_results(client: anthropic.Anthropic, calls: int) -> None:
    model = f"sim:tool={calls},delay=1ms"
    events = stream_events(client, model, tools=[WEATHER])
    with client.messages.stream(
        model=model, max_tokens=DEFAULT_MAX_TOKENS, messages=QUESTION, tools=[WEATHER]
    ) as stream:
        collected = stream.get_final_message()
    message = create_message(client, model, tools=[WEATHER])
    made = [block for block in message.content if block.type == "tool_use"]
    assert collected.content == message.content
    assert message.stop_reason == collected.stop_reason == "tool_use"
    assert len(made) == calls
    assert all(block.name == "weather" and block.input.keys() == {"city"} for block in made)
    starts = [event for event in events if event.type == "content_block_start"]
    assert [start.content_block.id for start in starts] == [block.id for block in made]
    results: list[MessageParam] = [
        *QUESTION,
        message.to_param(),
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": block.id, "content": "It rains."}
                for block in made
            ],
        },
    ]
    answer = client.messages.create(
        model="sim:delay=0", max_tokens=DEFAULT_MAX_TOKENS, messages=results, tools=[WEATHER]
    )
    assert text_of(answer).startswith("The tool says: It rains.")


def test_forced_tool_choice(client: anthropic.Anthropic) -> None:
    for choice in ({"type": "any"}, {"type": "tool", "name": "weather"}):
        message = create_message(client, "sim:delay=0", tools=[WEATHER], tool_choice=choice)
        assert [block.type for block in message.content] == ["tool_use"]


def test_thinking_and_its_signature(client: anthropic.Anthropic) -> None:
    events = stream_events(client, "sim:reasoning=5,delay=1ms")
    assert grammar(events) == [
        "message_start",
        "content_block_start 0",
        "content_block_delta 0",
        "content_block_stop 0",
        "content_block_start 1",
        "content_block_delta 1",
        "content_block_stop 1",
        "message_delta",
        "message_stop",
    ]
    message = create_message(client, "sim:reasoning=5,delay=1ms")
    thought, said = message.content
    assert thought.type == "thinking"
    assert said.type == "text"
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    pieces = [delta.thinking for delta in deltas if delta.type == "thinking_delta"]
    assert "".join(pieces) == thought.thinking
    assert [delta.signature for delta in deltas if delta.type == "signature_delta"] == [
        thought.signature
    ]
    assert events[-2].usage.output_tokens_details.thinking_tokens == 5
    follow_up: list[MessageParam] = [*QUESTION, message.to_param(), *QUESTION]
    answer = client.messages.create(
        model="sim:delay=0", max_tokens=DEFAULT_MAX_TOKENS, messages=follow_up
    )
    assert text_of(answer)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [("filter=3", "refusal"), ("tokens=3000", "max_tokens"), ("tokens=3", "end_turn")],
)
def test_stop_reason_of_settings(client: anthropic.Anthropic, settings: str, reason: str) -> None:
    events = stream_events(client, f"sim:delay=0,{settings}")
    assert events[-2].delta.stop_reason == reason
    assert create_message(client, f"sim:delay=0,{settings}").stop_reason == reason


@pytest.mark.parametrize(
    ("settings", "kind", "said"),
    [
        ("error=400", anthropic.BadRequestError, "refuses"),
        ("context", anthropic.BadRequestError, "prompt is too long"),
        ("policy", anthropic.BadRequestError, "content filtering policy"),
        ("error=401", anthropic.AuthenticationError, "API key"),
        ("error=402", anthropic.PaymentRequiredError, "credit"),
        ("error=403", anthropic.PermissionDeniedError, "key"),
        ("oops", anthropic.NotFoundError, "unknown setting 'oops'"),
        ("error=429,retry=2", anthropic.RateLimitError, "Rate limit"),
        ("error=500", anthropic.InternalServerError, "failed"),
        ("error=529", anthropic.OverloadedError, "overloaded"),
    ],
)
def test_errors_raise_the_matching_sdk_exceptions(
    client: anthropic.Anthropic, settings: str, kind: type[anthropic.APIStatusError], said: str
) -> None:
    for stream in (False, True):
        with pytest.raises(kind, match=said) as caught:
            client.messages.create(
                model=f"sim:{settings}",
                max_tokens=DEFAULT_MAX_TOKENS,
                messages=QUESTION,
                stream=stream,
            )
        error = strictly(ErrorResponse, json.dumps(caught.value.body))
        assert error.error.type == caught.value.type
    if kind is anthropic.RateLimitError:
        assert caught.value.response.headers["retry-after"] == "2"


@pytest.mark.parametrize("fault", ["errorframe=4", "errorframe=4,code=overloaded_error"])
def test_error_in_the_stream_raises(client: anthropic.Anthropic, fault: str) -> None:
    event_types: list[str] = []
    with client.messages.stream(
        model=f"sim:{fault}", max_tokens=DEFAULT_MAX_TOKENS, messages=QUESTION
    ) as stream:
        with pytest.raises(anthropic.APIStatusError, match="failed midway") as caught:
            event_types.extend(event.type for event in stream)
        strictly(ErrorResponse, json.dumps(caught.value.body))
        kind = "overloaded_error" if "code" in fault else "api_error"
        assert caught.value.type == kind
    assert event_types.count("text") == 4


async def test_closing_a_stream_is_reported(client: anthropic.Anthropic, upstream: Process) -> None:
    with client.messages.create(
        model="sim:delay=20ms,tokens=1000",
        max_tokens=DEFAULT_MAX_TOKENS,
        messages=QUESTION,
        stream=True,
        metadata={"user_id": "anthropic-leaver"},
    ) as stream:
        next(iter(stream))

    async def look() -> bool:
        (report,) = await reports(upstream, "anthropic-leaver")
        return report["closed_at"] is not None and report["ended_at"] is None

    await until(look)


BLOCKS = {
    "text": TextBlockParam,
    "image": ImageBlockParam,
    "tool_use": ToolUseBlockParam,
    "tool_result": ToolResultBlockParam,
}


def test_our_requests_match_the_sdk_parameter_types() -> None:
    function = {
        "type": "function",
        "function": {"name": "f", "description": "d", "parameters": {"type": "object"}},
    }
    call = ModelCall(
        upstream_model="claude-opus-4-6",
        messages=read_messages(
            [
                {"role": "system", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Look:", "cache_control": {"type": "ephemeral"}},
                        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": "Well.",
                    "tool_calls": [
                        {
                            "id": "a",
                            "type": "function",
                            "function": {"name": "f", "arguments": "{}"},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "a", "content": "42"},
                {"role": "user", "content": "So?"},
            ]
        ),
        parameters={
            "tools": [function],
            "tool_choice": "required",
            "parallel_tool_calls": False,
            "reasoning_effort": "high",
            "response_format": {"type": "json_schema", "json_schema": {"schema": {}}},
            "stop": "END",
            "user": "u",
            "service_tier": "default",
        },
    )
    assert ANTHROPIC.unsupported(call) == ()
    body = json.loads(ANTHROPIC.build(call, "key").body)
    assert body.keys() <= MessageCreateParamsStreaming.__annotations__.keys() | {"stream"}
    blocks = [block for message in body["messages"] for block in message["content"]]
    assert {block["type"] for block in blocks} == BLOCKS.keys()
    for value, kind in (
        *((block, BLOCKS[block["type"]]) for block in [*body["system"], *blocks]),
        *((tool, ToolParam) for tool in body["tools"]),
        (body["tool_choice"], ToolChoiceParam),
        (body["thinking"], ThinkingConfigParam),
        (body["output_config"], OutputConfigParam),
    ):
        assert adapter(kind).validate_python(value, strict=True) == value


CollectedAnswer = tuple[list[Chunk], tuple[FailureKind, int | None] | None]


async def collect_answer(upstream: Process, format: Format, call: ModelCall) -> CollectedAnswer:
    """Return the chunks of an answer, and the kind and status of its failure if any."""
    chunks, failure = await parity.collect_chunks(upstream, format, "/v1", call)
    return chunks, None if failure is None else (failure.kind, failure.status)


@pytest.mark.parametrize("settings", PORTABLE_SETTINGS)
async def test_messages_give_the_same_answer_as_chat(upstream: Process, settings: str) -> None:
    timing = "" if "delay" in settings else "first=0,delay=1ms,"
    call = ModelCall(
        upstream_model=f"sim:{timing}{settings}",
        messages=read_messages(CHAT),
        parameters={"tools": [TOOL]},
    )
    assert ANTHROPIC.unsupported(call) == ()
    with trio.fail_after(20):
        as_messages, failure = await collect_answer(upstream, ANTHROPIC, call)
        as_chat, other = await collect_answer(upstream, OPENAI_CHAT, call)
    assert normalised(as_messages) == normalised(as_chat)
    assert failure == other


async def test_parameters_have_the_same_effect_as_in_chat(upstream: Process) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    question: list[dict[str, object]] = [{"role": "user", "content": "Who is on stage?"}]
    everything: list[dict[str, object]] = [
        {"max_tokens": 5},
        {"max_completion_tokens": 5},
        {"stop": ["."]},
        {"response_format": wanted},
        {"tools": [TOOL], "tool_choice": "required"},
        {"tools": [TOOL], "tool_choice": "none"},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    ]
    for parameters in everything:
        call = ModelCall(
            upstream_model="sim:first=0,delay=1ms",
            messages=read_messages(question),
            parameters=parameters,
        )
        as_messages = await collect_answer(upstream, ANTHROPIC, call)
        as_chat = await collect_answer(upstream, OPENAI_CHAT, call)
        assert normalised(as_messages[0]) == normalised(as_chat[0]), parameters


async def test_prefill_is_continued(upstream: Process) -> None:
    question: list[dict[str, object]] = [{"role": "user", "content": "Who is on stage?"}]
    model = "sim:first=0,delay=1ms,tokens=20"
    call = ModelCall(upstream_model=model, messages=read_messages(question), parameters={})
    said = [
        c.text for c in (await collect_answer(upstream, ANTHROPIC, call))[0] if hasattr(c, "text")
    ]
    begun: list[dict[str, object]] = [{"role": "assistant", "content": "".join(said[:9]) + " "}]
    rest = ModelCall(upstream_model=model, messages=read_messages(question + begun), parameters={})
    as_messages, failure = await collect_answer(upstream, ANTHROPIC, rest)
    continued = "".join(c.text for c in as_messages if isinstance(c, TextChunk))
    assert (continued, failure) == ("".join(said[9:]), None)


async def test_unknown_parameter_is_rejected(upstream: Process) -> None:
    def with_odd(call: ModelCall) -> Translation:
        sent = ANTHROPIC.translate(call)
        return Translation(sent.body | {"odd": 1}, sent.left_out)

    question: list[dict[str, object]] = [{"role": "user", "content": "Hi"}]
    call = ModelCall(upstream_model="sim", messages=read_messages(question))
    format = replace(ANTHROPIC, translate=with_odd, optional=lambda name: False)
    _, failure = await collect_answer(upstream, format, call)
    assert failure == (FailureKind.REJECTED, 400)


async def test_unknown_parameter_is_left_out_once_it_is_rejected(upstream: Process) -> None:
    question: list[dict[str, object]] = [{"role": "user", "content": "Hi"}]
    call = ModelCall(
        upstream_model="sim",
        messages=read_messages(question),
        parameters={"odd": 1},
        client="anthropic",
        betas=("odd-2027-01-01",),
    )
    assert b'"odd"' in ANTHROPIC.build(call, None).body
    chunks, failure = await collect_answer(upstream, ANTHROPIC, call)
    assert (bool(chunks), failure) == (True, None)
