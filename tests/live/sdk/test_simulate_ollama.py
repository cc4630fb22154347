"""The official `ollama` SDK against the Ollama API of `trouper simulate`."""

import asyncio
import json
from collections.abc import Generator, Iterator
from typing import Any

import httpx
import ollama
import pytest

from tests.support.live.harness import Process, until
from tests.support.live.http_client import reports

QUESTION = [{"role": "user", "content": "Who is on stage?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def base_url(upstream: Process) -> str:
    """Return the SDK's base URL, to which it appends the path."""
    return f"http://127.0.0.1:{upstream.port}"


@pytest.fixture
def client(upstream: Process) -> Iterator[ollama.Client]:
    """Open the synchronous SDK client."""
    with ollama.Client(host=base_url(upstream), trust_env=False) as client:
        yield client


def streamed(client: ollama.Client, model: str, **more: Any) -> list[ollama.ChatResponse]:
    """Return all lines of a stream."""
    return list(client.chat(model=model, messages=QUESTION, stream=True, **more))


def text_of(*lines: ollama.ChatResponse) -> str:
    return "".join(line.message.content or "" for line in lines)


def thinking_of(*lines: ollama.ChatResponse) -> str:
    return "".join(line.message.thinking or "" for line in lines)


def calls_of(*lines: ollama.ChatResponse) -> list[tuple[str, dict[str, Any]]]:
    calls = [call for line in lines for call in line.message.tool_calls or []]
    return [(call.function.name, dict(call.function.arguments)) for call in calls]


async def test_streamed_and_unstreamed_answers_are_equal(upstream: Process) -> None:
    headers = {"x-witness-id": "ollama-first"}
    with ollama.Client(host=base_url(upstream), headers=headers, trust_env=False) as client:
        lines = streamed(client, "sim:delay=1ms")
        whole = client.chat(model="sim:delay=1ms", messages=QUESTION)
    assert text_of(*lines) == whole.message.content != ""
    assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True]
    last = lines[-1]
    assert (last.done_reason, whole.done, whole.done_reason) == ("stop", True, "stop")
    assert last.prompt_eval_count == whole.prompt_eval_count
    assert last.eval_count == whole.eval_count
    for report in await reports(upstream, "ollama-first"):
        assert report["text_sent"] == whole.message.content
        assert report["tokens_sent"] == whole.eval_count


def test_async_streamed_and_unstreamed_answers_are_equal(upstream: Process) -> None:
    async def main() -> None:
        async with ollama.AsyncClient(host=base_url(upstream), trust_env=False) as client:
            stream = await client.chat(model="sim:delay=1ms", messages=QUESTION, stream=True)
            text = "".join([text_of(line) async for line in stream])
            whole = await client.chat(model="sim:delay=1ms", messages=QUESTION)
            assert text == whole.message.content != ""

    asyncio.run(main())


@pytest.mark.parametrize("think", [True, "high"])
def test_thinking_is_separate(client: ollama.Client, think: Any) -> None:
    model = "sim:delay=0,reasoning=6,tokens=9"
    lines = streamed(client, model, think=think)
    whole = client.chat(model=model, messages=QUESTION, think=think)
    assert thinking_of(*lines) == whole.message.thinking != ""
    assert text_of(*lines) == whole.message.content != ""
    assert lines[-1].eval_count == whole.eval_count == 15


@pytest.mark.parametrize("calls", [1, 2])
def test_tool_calls_and_their_results(client: ollama.Client, calls: int) -> None:
    model = f"sim:tool={calls},delay=1ms"
    lines = streamed(client, model, tools=[WEATHER])
    whole = client.chat(model=model, messages=QUESTION, tools=[WEATHER])
    made = calls_of(whole)
    assert calls_of(*lines) == made
    assert len(made) == calls
    assert all(name == "weather" and given.keys() == {"city"} for name, given in made)
    answers = [{"role": "tool", "tool_name": name, "content": "It rains."} for name, _ in made]
    answer = client.chat(
        model=model, messages=[*QUESTION, whole.message, *answers], tools=[WEATHER]
    )
    assert (answer.message.content or "").startswith("The tool says: It rains.")


def test_structured_output(client: ollama.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"hero": {"type": "string"}, "acts": {"type": "integer"}},
        "required": ["hero", "acts"],
    }
    whole = client.chat(model="sim:delay=0", messages=QUESTION, format=schema)
    assert json.loads(whole.message.content or "").keys() == {"hero", "acts"}
    plain = client.chat(model="sim:delay=0", messages=QUESTION, format="json")
    assert isinstance(json.loads(plain.message.content or ""), dict)


def test_image_adds_to_the_prompt_tokens(client: ollama.Client) -> None:
    message = {"role": "user", "content": "And this?", "images": [b"\x89PNG"]}
    with_image = client.chat(model="sim:delay=0", messages=[message])
    without = client.chat(model="sim:delay=0", messages=[{"role": "user", "content": "And this?"}])
    assert with_image.prompt_eval_count == (without.prompt_eval_count or 0) + 1


@pytest.mark.parametrize(
    ("options", "reason"), [({"num_predict": 3}, "length"), ({"stop": ["."]}, "stop")]
)
def test_done_reason_of_options(
    client: ollama.Client, options: dict[str, Any], reason: str
) -> None:
    lines = streamed(client, "sim:delay=0,tokens=30", options=options)
    whole = client.chat(model="sim:delay=0,tokens=30", messages=QUESTION, options=options)
    assert lines[-1].done_reason == whole.done_reason == reason
    assert text_of(*lines) == whole.message.content
    assert "." not in (whole.message.content or ".")


@pytest.mark.parametrize(
    ("settings", "status", "answer"),
    [
        ("error=400", 400, "refuses"),
        ("error=401", 401, "API key"),
        ("oops", 404, "unknown setting 'oops'"),
        ("error=429,retry=2", 429, "Rate limit"),
        ("error=500", 500, "failed"),
        ("error=503", 503, "overloaded"),
    ],
)
def test_errors_raise_the_matching_sdk_exceptions(
    client: ollama.Client, settings: str, status: int, answer: str
) -> None:
    def whole() -> None:
        client.chat(model=f"sim:{settings}", messages=QUESTION)

    def stream() -> None:
        streamed(client, f"sim:{settings}")

    for ask in (whole, stream):
        with pytest.raises(ollama.ResponseError, match=answer) as caught:
            ask()
        assert caught.value.status_code == status


def test_error_in_the_stream_raises(client: ollama.Client) -> None:
    texts: list[str] = []
    model = "sim:delay=1ms,count,errorframe=4"
    stream = client.chat(model=model, messages=QUESTION, stream=True)
    with pytest.raises(ollama.ResponseError, match="failed midway"):
        texts.extend(text_of(line) for line in stream)
    assert texts == ["1", " 2", " 3", " 4"]


async def test_closing_a_stream_is_reported(upstream: Process) -> None:
    headers = {"x-witness-id": "ollama-leaver"}
    with ollama.Client(host=base_url(upstream), headers=headers, trust_env=False) as client:
        stream = client.chat(model="sim:delay=20ms,tokens=1000", messages=QUESTION, stream=True)
        assert isinstance(stream, Generator)
        next(stream)
        stream.close()

    async def look() -> bool:
        (report,) = await reports(upstream, "ollama-leaver")
        return report["closed_at"] is not None and report["ended_at"] is None

    await until(look)


@pytest.mark.parametrize(
    "settings", ["tokens=5", "reasoning=3,tokens=3", "tool=2", "filter=3", "nousage", "unicode"]
)
def test_every_line_matches_the_sdk_types(upstream: Process, settings: str) -> None:
    """The SDK's types drop unknown fields, so compare what is left with what was sent."""
    body = {"model": f"sim:delay=1ms,{settings}", "messages": QUESTION, "tools": [WEATHER]}
    response = httpx.post(f"{base_url(upstream)}/api/chat", json=body, trust_env=False)
    assert response.headers["content-type"] == "application/x-ndjson"
    *lines, rest = response.text.split("\n")
    assert rest == ""
    for line in lines:
        document = json.loads(line)
        found = ollama.ChatResponse.model_validate(document, strict=True)
        assert found.model_dump(exclude_unset=True) == document
    assert ("eval_count" in document) == (settings != "nousage")
