"""The official `openai` SDK as a client of Chat Completions."""

import json
from collections.abc import Iterator

import openai
import pytest
import trio
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from tests.support.live.event_loops import Runner, on_each_loop
from tests.support.live.harness import Process, Server, serving, until, write_config
from tests.support.live.http_client import ended_turn, fetch, reports
from tests.support.live.openai_clients import QUESTION, WEATHER, async_sdk, function_calls, sdk

SETTINGS = """
grace_s = 0
drain_s = 1
[turns]
heartbeat_s = 0.05
[models.keen]
routes = ["up/keen:delay=1ms"]
[models.tooled]
routes = ["up/tooled:tool,delay=1ms"]
"""
LONG = "up/v:delay=20ms,tokens=5000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """Run a server that sends heartbeats every 50 ms."""
    directory = tmp_path_factory.mktemp("sdk")
    with serving(directory, write_config(directory, upstream.port, SETTINGS)) as process:
        yield process


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with sdk(server) as client:
        yield client


# The SDK stops reading at `[DONE]` and leaves its async generators to the garbage collector, which
# trio warns about.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator '(openai|http):ResourceWarning")


async def test_sync_streamed_and_unstreamed_answers_are_equal(
    client: openai.OpenAI, server: Server, upstream: Process
) -> None:
    with client.chat.completions.create(
        model="keen",
        messages=QUESTION,
        stream=True,
        stream_options={"include_usage": True},
        user="sdk",
    ) as stream:
        chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    whole = client.chat.completions.create(model="keen", messages=QUESTION)
    assert whole.choices[0].message.content == text
    assert whole.choices[0].finish_reason == chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == whole.usage
    assert whole.usage is not None
    (report,) = await reports(upstream, "sdk")
    assert text == report["text_sent"]
    assert whole.usage.completion_tokens == report["tokens_sent"]


@on_each_loop
def test_async_streamed_and_unstreamed_answers_are_equal(server: Server, run: Runner) -> None:
    async def main() -> None:
        async with async_sdk(server) as client:
            stream = await client.chat.completions.create(
                model="keen", messages=QUESTION, stream=True
            )
            text = "".join([c.choices[0].delta.content or "" async for c in stream])
            whole = await client.chat.completions.create(model="keen", messages=QUESTION)
            assert whole.choices[0].message.content == text != ""

    run(main)


def test_tool_calls_streamed_and_unstreamed_and_their_results(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="tooled", messages=QUESTION, tools=[WEATHER]
    ) as stream:
        streamed = stream.get_final_completion().choices[0]
    whole = client.chat.completions.create(
        model="tooled", messages=QUESTION, tools=[WEATHER]
    ).choices[0]
    assert streamed.finish_reason == whole.finish_reason == "tool_calls"
    assert function_calls(streamed.message) == function_calls(whole.message)
    ((name, arguments),) = function_calls(whole.message)
    assert name == "weather"
    assert json.loads(arguments).keys() == {"city"}
    call = (whole.message.tool_calls or [])[0]
    answer: list[ChatCompletionMessageParam] = [
        *QUESTION,
        {
            "role": "assistant",
            "tool_calls": [
                {"id": call.id, "type": "function", "function": {"name": name, "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": call.id, "content": "It rains."},
    ]
    said = client.chat.completions.create(model="keen", messages=answer).choices[0].message
    assert said.content is not None
    assert said.content.startswith("The tool says: It rains.")


async def test_closing_a_stream_early_ends_the_turn(client: openai.OpenAI, server: Server) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=LONG, messages=QUESTION, stream=True
    )
    stream = raw.parse()
    received = "".join(next(stream).choices[0].delta.content or "" for _ in range(5))
    stream.close()
    found = await ended_turn(server, raw.headers["x-turn-id"])
    assert found["reason"] == "client_disconnected"
    assert found["disconnect_stage"] == "mid_stream"
    assert received
    assert str(found["text"]).startswith(received)


@on_each_loop
async def test_closing_an_async_stream_early_ends_the_turn(server: Server, run: Runner) -> None:
    turns: list[str] = []

    async def main() -> None:
        async with async_sdk(server) as client:
            stream = await client.chat.completions.create(
                model=LONG, messages=QUESTION, stream=True
            )
            turns.append(stream.response.headers["x-turn-id"])
            await anext(stream)
            await stream.close()

    await trio.to_thread.run_sync(run, main)
    found = await ended_turn(server, turns[0])
    assert (found["status"], found["reason"]) == ("incomplete", "client_disconnected")


async def test_client_timeout_ends_the_turn(client: openai.OpenAI, server: Server) -> None:
    model = "up/timeout:delay=20ms,tokens=5000"
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model=model, messages=QUESTION, timeout=0.3)

    async def look() -> bool:
        _, page = await fetch(server, "/v1/turns?limit=1&status=incomplete")
        assert isinstance(page["data"], list)
        newest = page["data"][0] if page["data"] else {"model": ""}
        return newest["model"] == model and newest["reason"] == "client_disconnected"

    await until(look)


def test_heartbeats_are_not_parsed_as_chunks(client: openai.OpenAI) -> None:
    model = "up/slow:first=300ms,delay=120ms,tokens=4"
    with client.chat.completions.create(model=model, messages=QUESTION, stream=True) as stream:
        chunks = list(stream)
    assert [c.choices[0].finish_reason for c in chunks] == [None] * 5 + ["stop"]
    assert all(c.object == "chat.completion.chunk" for c in chunks)


def test_raw_response_has_the_turn_id(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="keen", messages=QUESTION)
    completion: ChatCompletion = raw.parse()
    assert completion.id == "chatcmpl-" + raw.headers["x-turn-id"].removeprefix("turn_")


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["keen", "tooled"]
    assert client.models.retrieve("keen").owned_by == "trouper"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        ("nobody", openai.NotFoundError, "The models are: keen, tooled"),
        ("up/v:error=429,retry=7", openai.RateLimitError, ""),
        ("up/v:context", openai.BadRequestError, "maximum context length"),
        ("up/v:error=500", openai.InternalServerError, "502"),
        ("up/v:refuse", openai.InternalServerError, "502"),
        ("up/v:oops", openai.NotFoundError, "unknown setting"),
    ],
)
def test_errors_raise_the_matching_sdk_exceptions(
    client: openai.OpenAI, model: str, kind: type[openai.APIStatusError], said: str
) -> None:
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            client.chat.completions.create(model=model, messages=QUESTION, stream=stream)
        assert said in str(caught.value)
        assert isinstance(caught.value.body, dict)
        assert caught.value.body.keys() == {"message", "type", "param", "code"}
    if kind is openai.RateLimitError:
        assert caught.value.response.headers["retry-after"] == "7"


def test_bad_request_names_the_field(client: openai.OpenAI) -> None:
    parts: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": [{"type": "video", "video": "x"}]}  # type: ignore[misc, list-item]
    ]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="keen", messages=parts)
    assert caught.value.param == "messages[0].content[0].type"
    assert caught.value.code == "unsupported_content_type"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="keen", messages=[])
    assert caught.value.param == "messages"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="keen", messages=QUESTION, temperature=7)
    assert caught.value.param == "temperature"


@pytest.mark.parametrize("fault", ["cut=4", "errorframe=4", "reset=4"])
def test_interrupted_stream_raises(client: openai.OpenAI, fault: str) -> None:
    stream = client.chat.completions.create(model=f"up/v:{fault}", messages=QUESTION, stream=True)
    received = [next(stream).choices[0].finish_reason for _ in range(5)]
    assert received == [None] * 5
    with pytest.raises(openai.APIError) as caught:
        next(stream)
    assert caught.value.type == "upstream_error"
