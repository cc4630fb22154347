"""The official `openai` SDK against the Responses API of `trouper simulate`."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import ResponseInputParam, ResponseStreamEvent

from tests.support.live.harness import Process
from tests.support.live.openai_clients import sdk
from tests.support.live.responses_client import QUESTION, WEATHER, output_summary
from tests.support.responses_sdk_readers import read_event, read_events, read_response

MODELS = [
    *("sim:delay=0", "sim:reasoning=5,delay=0", "sim:refusal,delay=0", "sim:unicode,delay=0"),
    *("sim:tool,delay=0", "sim:tool=3,reasoning,delay=0", "sim:filter=3,delay=0"),
    *("sim:nousage,delay=0", "sim:tokens=300,chunk=7,delay=0"),
]


@pytest.fixture
def client(upstream: Process) -> Iterator[openai.OpenAI]:
    with sdk(upstream) as client:
        yield client


def ask(upstream: Process, **fields: object) -> httpx.Response:
    """Send a request without the SDK, for the raw bytes of the response."""
    url = f"http://127.0.0.1:{upstream.port}/v1/responses"
    call = {"input": QUESTION, "tools": [WEATHER], **fields}
    return httpx.post(url, json=call, trust_env=False)


@pytest.mark.parametrize("model", MODELS)
def test_events_and_objects_match_the_sdk_types(upstream: Process, model: str) -> None:
    streamed = ask(upstream, model=model, stream=True)
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"
    *_, last = read_events(streamed.content)
    assert last.type in ("response.completed", "response.incomplete")
    whole = read_response(ask(upstream, model=model).content)
    assert output_summary(last.response, call_ids=True) == output_summary(whole, call_ids=True)
    assert last.response.usage == whole.usage
    assert (whole.usage is None) == ("nousage" in model)


@pytest.mark.parametrize("model", MODELS)
def test_sdk_assembles_the_unstreamed_response_from_a_stream(
    client: openai.OpenAI, model: str
) -> None:
    whole = client.responses.create(model=model, input=QUESTION, tools=[WEATHER])
    with client.responses.create(
        model=model, input=QUESTION, tools=[WEATHER], stream=True
    ) as stream:
        events: list[ResponseStreamEvent] = list(stream)
    for event in events:
        read_event(event.to_json(use_api_names=True))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == whole.output_text
    if whole.status == "completed":
        with client.responses.stream(model=model, input=QUESTION, tools=[WEATHER]) as manager:
            final = manager.get_final_response()
        assert output_summary(final, call_ids=True) == output_summary(whole, call_ids=True)
        assert final.usage == whole.usage


def test_history_with_tool_calls_and_results(client: openai.OpenAI) -> None:
    first = client.responses.create(model="sim:tool=2,delay=0", input=QUESTION, tools=[WEATHER])
    calls = [item for item in first.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["weather", "weather"]
    assert all(json.loads(call.arguments).keys() == {"city"} for call in calls)
    history: ResponseInputParam = [{"role": "user", "content": QUESTION}]
    for call in calls:
        history += [
            {
                "type": "function_call",
                "call_id": call.call_id,
                "name": call.name,
                "arguments": call.arguments,
            },
            {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
        ]
    second = client.responses.create(model="sim:tool=2,delay=0", input=history, tools=[WEATHER])
    assert second.output_text.startswith("The tool says: sunny")


def test_output_limit_and_json_schema(client: openai.OpenAI) -> None:
    short = client.responses.create(model="sim:delay=0", input=QUESTION, max_output_tokens=16)
    assert short.status == "incomplete"
    assert short.incomplete_details is not None
    assert short.incomplete_details.reason == "max_output_tokens"
    assert short.usage is not None
    assert short.usage.output_tokens == 16
    schema: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}}
    fitting = client.responses.create(
        model="sim:delay=0",
        input=QUESTION,
        text={"format": {"type": "json_schema", "name": "n", "schema": schema}},
    )
    assert isinstance(json.loads(fitting.output_text)["n"], int)


def test_errors_raise_the_matching_sdk_exceptions(client: openai.OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError) as limited:
            client.responses.create(
                model="sim:error=429,retry=2,delay=0", input=QUESTION, stream=stream
            )
        assert limited.value.response.headers["retry-after"] == "2"
        with pytest.raises(openai.NotFoundError, match="unknown setting 'oops'"):
            client.responses.create(model="sim:oops", input=QUESTION, stream=stream)
        with pytest.raises(openai.BadRequestError, match="maximum context length"):
            client.responses.create(model="sim:context", input=QUESTION, stream=stream)
    with pytest.raises(openai.BadRequestError) as wrong:
        client.responses.create(model="sim", input=QUESTION, max_output_tokens=0)
    assert wrong.value.param == "max_output_tokens"


def test_error_in_the_stream(client: openai.OpenAI) -> None:
    with client.responses.create(
        model="sim:errorframe=3,code=rate_limit_exceeded", input=QUESTION, stream=True
    ) as stream:
        *_, error, failed = list(stream)
    assert error.type == "error"
    assert (error.code, error.message) == (
        "rate_limit_exceeded",
        "The simulated model failed midway.",
    )
    assert failed.type == "response.failed"
    assert failed.response.error is not None
    assert failed.response.error.code == "rate_limit_exceeded"
    with pytest.raises(openai.InternalServerError, match="failed midway"):
        client.responses.create(model="sim:errorframe=3", input=QUESTION)
