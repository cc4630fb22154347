"""The official `google-genai` SDK against the Gemini API of `trouper simulate`."""

import asyncio
import json
from collections.abc import Generator, Iterator
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types

from tests.support.live.harness import Process, until
from tests.support.live.http_client import reports

QUESTION = "Who is on stage?"
WEATHER = types.FunctionDeclaration(
    name="weather",
    description="Tells the weather.",
    parameters=types.Schema(
        type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}
    ),
)
TOOLS = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[WEATHER])])


def options(upstream: Process, witness: str) -> types.HttpOptions:
    """Return the SDK's HTTP options; the SDK appends the paths to the base URL."""
    url = f"http://127.0.0.1:{upstream.port}"
    return types.HttpOptions(base_url=url, headers={"x-witness-id": witness})


@pytest.fixture
def client(upstream: Process) -> Iterator[genai.Client]:
    """Open the SDK client, with an arbitrary key."""
    client = genai.Client(api_key="none", http_options=options(upstream, "genai"))
    yield client
    client.close()


def streamed(
    client: genai.Client, model: str, config: types.GenerateContentConfig | None = None
) -> list[types.GenerateContentResponse]:
    """Return all responses of a stream."""
    return list(
        client.models.generate_content_stream(model=model, contents=QUESTION, config=config)
    )


def parts_of(response: types.GenerateContentResponse) -> list[types.Part]:
    (candidate,) = response.candidates or []
    return (candidate.content.parts if candidate.content else None) or []


def text_of(*responses: types.GenerateContentResponse, thought: bool = False) -> str:
    parts = [part for response in responses for part in parts_of(response)]
    return "".join(part.text or "" for part in parts if bool(part.thought) == thought)


def finish_of(response: types.GenerateContentResponse) -> str | None:
    (candidate,) = response.candidates or []
    return candidate.finish_reason and candidate.finish_reason.value


async def test_streamed_and_unstreamed_answers_are_equal(upstream: Process) -> None:
    client = genai.Client(api_key="none", http_options=options(upstream, "genai-first"))
    chunks = streamed(client, "sim:delay=1ms")
    whole = client.models.generate_content(model="sim:delay=1ms", contents=QUESTION)
    assert text_of(*chunks) == whole.text != ""
    assert finish_of(chunks[-1]) == finish_of(whole) == "STOP"
    assert chunks[-1].usage_metadata == whole.usage_metadata
    assert whole.usage_metadata is not None
    assert {chunk.response_id for chunk in chunks} == {chunks[0].response_id}
    client.close()
    for report in await reports(upstream, "genai-first"):
        assert report["text_sent"] == whole.text
        assert report["tokens_sent"] == whole.usage_metadata.candidates_token_count


def test_async_streamed_and_unstreamed_answers_are_equal(upstream: Process) -> None:
    async def main() -> None:
        client = genai.Client(api_key="none", http_options=options(upstream, "aio"))
        stream = await client.aio.models.generate_content_stream(
            model="sim:delay=1ms", contents=QUESTION
        )
        text = "".join([text_of(chunk) async for chunk in stream])
        whole = await client.aio.models.generate_content(model="sim:delay=1ms", contents=QUESTION)
        assert text == whole.text != ""
        await client.aio.aclose()
        client.close()

    asyncio.run(main())


def test_thoughts_are_separate_and_counted(client: genai.Client) -> None:
    model = "sim:delay=0,reasoning=6,tokens=9"
    config = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    )
    chunks = streamed(client, model, config)
    whole = client.models.generate_content(model=model, contents=QUESTION, config=config)
    assert text_of(*chunks) == text_of(whole) == whole.text
    assert text_of(*chunks, thought=True) == text_of(whole, thought=True) != ""
    for response in (chunks[-1], whole):
        usage = response.usage_metadata
        assert usage is not None
        assert (usage.thoughts_token_count, usage.candidates_token_count) == (6, 9)


@pytest.mark.parametrize("calls", [1, 2])
def test_tool_calls_and_their_results(client: genai.Client, calls: int) -> None:
    model = f"sim:tool={calls},delay=1ms"
    chunks = streamed(client, model, TOOLS)
    whole = client.models.generate_content(model=model, contents=QUESTION, config=TOOLS)
    made = whole.function_calls or []
    assert [call for chunk in chunks for call in chunk.function_calls or []] == made
    assert len(made) == len({call.id for call in made}) == calls
    assert all(call.name == "weather" and (call.args or {}).keys() == {"city"} for call in made)
    assert finish_of(chunks[-1]) == finish_of(whole) == "STOP"
    answers = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"output": "It rains."}
            )
        )
        for call in made
    ]
    (candidate,) = whole.candidates or []
    assert candidate.content is not None
    answer = client.models.generate_content(
        model=model,
        contents=[
            types.UserContent(QUESTION),
            candidate.content,
            types.Content(role="user", parts=answers),
        ],
        config=TOOLS,
    )
    assert (answer.text or "").startswith("The tool says: It rains.")


def test_forced_tool_choice(client: genai.Client) -> None:
    config = TOOLS.model_copy(
        update={
            "tool_config": types.ToolConfig(
                function_calling_config=types.FunctionCallingConfig(
                    mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["weather"]
                )
            )
        }
    )
    whole = client.models.generate_content(model="sim:delay=0", contents=QUESTION, config=config)
    assert [call.name for call in whole.function_calls or []] == ["weather"]


def test_chat_with_several_messages(client: genai.Client) -> None:
    chat = client.chats.create(
        model="sim:delay=0,echo",
        config=types.GenerateContentConfig(system_instruction="Be an echo."),
    )
    assert chat.send_message("Hello?").text == "Hello?"
    assert text_of(*chat.send_message_stream("Anybody?")) == "Anybody?"
    roles = [content.role for content in chat.get_history()]
    assert roles[:4] == ["user", "model", "user", "model"]
    assert chat.send_message("Nobody?").text == "Nobody?"


def test_structured_output(client: genai.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"hero": {"type": "string"}, "acts": {"type": "integer"}},
        "required": ["hero", "acts"],
    }
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema=schema
    )
    whole = client.models.generate_content(model="sim:delay=0", contents=QUESTION, config=config)
    assert json.loads(whole.text or "").keys() == {"hero", "acts"}


@pytest.mark.parametrize(
    ("settings", "config", "reason"),
    [
        ("filter=3", {}, "SAFETY"),
        ("tokens=30", {"max_output_tokens": 3}, "MAX_TOKENS"),
        ("tokens=30", {"stop_sequences": ["."]}, "STOP"),
    ],
)
def test_finish_reason_of_settings(
    client: genai.Client, settings: str, config: dict[str, Any], reason: str
) -> None:
    generation_config = types.GenerateContentConfig(**config)
    model = f"sim:delay=0,{settings}"
    assert finish_of(streamed(client, model, generation_config)[-1]) == reason
    whole = client.models.generate_content(model=model, contents=QUESTION, config=generation_config)
    assert finish_of(whole) == reason
    assert "." not in (whole.text or "")


def test_blocked_prompt(client: genai.Client) -> None:
    whole = client.models.generate_content(model="sim:filter=0", contents=QUESTION)
    assert whole.candidates is None
    assert whole.prompt_feedback is not None
    assert whole.prompt_feedback.block_reason is types.BlockedReason.SAFETY


@pytest.mark.parametrize(
    ("settings", "kind", "code", "status"),
    [
        ("error=400", errors.ClientError, 400, "INVALID_ARGUMENT"),
        ("error=401", errors.ClientError, 401, "UNAUTHENTICATED"),
        ("error=403", errors.ClientError, 403, "PERMISSION_DENIED"),
        ("oops", errors.ClientError, 404, "NOT_FOUND"),
        ("error=429,retry=2", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("error=500", errors.ServerError, 500, "INTERNAL"),
        ("error=503", errors.ServerError, 503, "UNAVAILABLE"),
    ],
)
def test_errors_raise_the_matching_sdk_exceptions(
    client: genai.Client, settings: str, kind: type[errors.APIError], code: int, status: str
) -> None:
    def whole() -> None:
        client.models.generate_content(model=f"sim:{settings}", contents=QUESTION)

    def stream() -> None:
        streamed(client, f"sim:{settings}")

    for ask in (whole, stream):
        with pytest.raises(kind) as caught:
            ask()
        assert (caught.value.code, caught.value.status) == (code, status)
        assert caught.value.message


def test_error_in_the_stream_raises(client: genai.Client) -> None:
    texts: list[str] = []
    stream = client.models.generate_content_stream(
        model="sim:delay=1ms,count,errorframe=4,code=late", contents=QUESTION
    )
    with pytest.raises(errors.ServerError, match="failed midway"):
        texts.extend(text_of(chunk) for chunk in stream)
    assert texts == ["1", " 2", " 3", " 4"]


async def test_closing_a_stream_is_reported(upstream: Process) -> None:
    client = genai.Client(api_key="none", http_options=options(upstream, "genai-leaver"))
    stream = client.models.generate_content_stream(
        model="sim:delay=20ms,tokens=1000", contents=QUESTION
    )
    assert isinstance(stream, Generator)
    next(stream)
    stream.close()
    client.close()

    async def look() -> bool:
        (report,) = await reports(upstream, "genai-leaver")
        return report["closed_at"] is not None and report["ended_at"] is None

    await until(look)


@pytest.mark.parametrize("query", ["?alt=sse", ""])
@pytest.mark.parametrize(
    "settings", ["tokens=5", "reasoning=3,tokens=3", "tool=2", "filter=0", "nousage", "unicode"]
)
def test_every_frame_matches_the_sdk_types(upstream: Process, query: str, settings: str) -> None:
    """The SDK's types forbid unknown fields, but the SDK itself parses leniently."""
    url = f"http://127.0.0.1:{upstream.port}/v1beta/models/sim:delay=1ms,{settings}"
    tools = [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}]
    body = {"contents": [{"parts": [{"text": QUESTION}]}], "tools": tools}
    response = httpx.post(f"{url}:streamGenerateContent{query}", json=body, trust_env=False)
    if query:
        assert response.headers["content-type"] == "text/event-stream"
        *events, rest = response.text.split("\r\n\r\n")
        assert rest == ""
        frames = [json.loads(event.removeprefix("data: ")) for event in events]
    else:
        assert response.headers["content-type"].startswith("application/json")
        frames = response.json()
    found = [types.GenerateContentResponse.model_validate(frame) for frame in frames]
    usage = found[-1].usage_metadata
    assert (usage is None) == (settings == "nousage")
    if usage is not None:
        made = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        assert usage.total_token_count == (usage.prompt_token_count or 0) + made
