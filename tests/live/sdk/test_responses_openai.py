"""The official `openai` SDK as a client of `/v1/responses`, with upstreams of every format."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai.types.responses import (
    Response,
    ResponseFunctionToolCall,
    ResponseInputFileParam,
    ResponseInputParam,
    ResponseStreamEvent,
)

from tests.support.live.call_recorder import BASE_PATHS, IN_PROCESS, serving_all_formats
from tests.support.live.event_loops import Runner, on_each_loop
from tests.support.live.harness import Process, Server
from tests.support.live.http_client import ended_turn, turn
from tests.support.live.openai_clients import async_sdk, sdk
from tests.support.live.responses_client import QUESTION, WEATHER, output_summary
from tests.support.sizes import FULL

FORMATS = [IN_PROCESS, *BASE_PATHS]
SETTINGS = ["tool=2", "tokens=30", "reasoning=3", "refusal", "unicode"]
COMBINATIONS = [
    (format, settings)
    for format in FORMATS
    for settings in SETTINGS
    # A format decides the events of a turn, and events decide the response. `test_all_formats`
    # compares the events of all combinations.
    if FULL or format == IN_PROCESS or settings == SETTINGS[0]
]
"""Formats and settings: each format once and each setting once, and under soak all pairs."""
QUICK = "first=0,delay=0"
LONG = f"{IN_PROCESS}/v:delay=20ms,tokens=5000"

# The SDK leaves its async generators to the garbage collector, which trio warns about.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator '(openai|http):ResourceWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """Run a server with a provider for each format."""
    with serving_all_formats(tmp_path_factory.mktemp("responses"), upstream.port) as process:
        yield process


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    """Open the synchronous SDK client."""
    with sdk(server) as client:
        yield client


def last_response(events: list[ResponseStreamEvent]) -> Response:
    """Return the response of a stream's last event."""
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete", "response.failed")
    return last.response


def call_of(response: Response) -> ResponseFunctionToolCall:
    """Return the only function call of a response."""
    (call,) = [item for item in response.output if item.type == "function_call"]
    return call


def result(call: ResponseFunctionToolCall, text: str) -> ResponseInputParam:
    """Return the output of a function call as input items."""
    return [{"type": "function_call_output", "call_id": call.call_id, "output": text}]


@pytest.mark.parametrize(("format", "settings"), COMBINATIONS)
def test_streamed_unstreamed_and_retrieved_responses_are_equal(
    client: openai.OpenAI, format: str, settings: str
) -> None:
    model = f"{format}/sim:{QUICK},{settings}"
    whole = client.responses.create(model=model, input=QUESTION, tools=[WEATHER])
    assert whole.status == "completed"
    assert client.responses.retrieve(whole.id) == whole
    with client.responses.create(
        model=model, input=QUESTION, tools=[WEATHER], stream=True
    ) as stream:
        events = list(stream)
    streamed = last_response(events)
    assert output_summary(streamed) == output_summary(whole) != []
    assert streamed.usage == whole.usage
    assert client.responses.retrieve(streamed.id) == streamed
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert list(client.responses.retrieve(streamed.id, stream=True)) == events
    for after in (0, 5, len(events) - 2, len(events) - 1):
        again = client.responses.retrieve(streamed.id, stream=True, starting_after=after)
        assert list(again) == events[after + 1 :]
    for after in (len(events), 9_999_999):
        with pytest.raises(openai.BadRequestError, match=f"'openai-responses:{len(events) - 1}'"):
            client.responses.retrieve(streamed.id, stream=True, starting_after=after)


@pytest.mark.parametrize("format", FORMATS)
def test_stream_helper_assembles_the_response(client: openai.OpenAI, format: str) -> None:
    model = f"{format}/sim:{QUICK},reasoning=2,tool"
    with client.responses.stream(model=model, input=QUESTION, tools=[WEATHER]) as stream:
        stream.until_done()
        final = stream.get_final_response()
    whole = client.responses.create(model=model, input=QUESTION, tools=[WEATHER])
    assert [item.type for item in final.output] == [item.type for item in whole.output]
    call = final.output[-1]
    assert call.type == "function_call"
    assert json.loads(call.arguments).keys() == {"city"}


@pytest.mark.parametrize("format", FORMATS)
def test_images_and_parameters_are_passed_through(client: openai.OpenAI, format: str) -> None:
    image = "data:image/png;base64,iVBORw0KGgo="
    response = client.responses.create(
        model=f"{format}/sim:{QUICK},tokens=30",
        instructions="Be kind.",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": image, "detail": "auto"},
                ],
            }
        ],
        max_output_tokens=5,
        metadata={"a": "b"},
        text={"format": {"type": "text"}, "verbosity": "medium"},
    )
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage is not None
    assert response.usage.output_tokens == 5
    assert (response.instructions, response.metadata) == ("Be kind.", {"a": "b"})
    assert response.max_output_tokens == 5


@pytest.mark.parametrize("format", FORMATS)
def test_ten_turns_with_tools_and_inherited_instructions(
    client: openai.OpenAI, format: str
) -> None:
    model_prefix = f"{format}/sim:{QUICK}"
    previous = client.responses.create(
        model=f"{model_prefix},echo", input="Turn 0", instructions="Be kind.", tools=[WEATHER]
    )
    tokens = [previous.usage.input_tokens if previous.usage else 0]
    for number in range(1, 10):
        calling = client.responses.create(
            model=f"{model_prefix},tool,reasoning=2",
            input=f"Turn {number}",
            previous_response_id=previous.id,
            tools=[WEATHER],
        )
        previous = client.responses.create(
            model=f"{model_prefix},tool",
            input=result(call_of(calling), f"It rains {number} times."),
            previous_response_id=calling.id,
            tools=[WEATHER],
        )
        assert previous.output_text.startswith(f"The tool says: It rains {number} times.")
        assert previous.instructions == calling.instructions == "Be kind."
        assert previous.previous_response_id == calling.id
        assert previous.usage is not None
        tokens.append(previous.usage.input_tokens)
    assert tokens == sorted(set(tokens)), "every turn includes the whole history"


def test_missing_function_call_output_is_an_error(client: openai.OpenAI) -> None:
    model = f"{IN_PROCESS}/sim:{QUICK},tool"
    calling = client.responses.create(model=model, input=QUESTION, tools=[WEATHER])
    with pytest.raises(openai.BadRequestError, match=call_of(calling).call_id) as caught:
        client.responses.create(model=model, input="And?", previous_response_id=calling.id)
    assert caught.value.param == "input"
    assert caught.value.code == "function_call_mismatch"


def test_history_kept_by_the_client(client: openai.OpenAI) -> None:
    model = f"{IN_PROCESS}/sim:{QUICK},tool"
    first = client.responses.create(model=model, input=QUESTION, tools=[WEATHER], store=False)
    items: ResponseInputParam = [{"role": "user", "content": QUESTION}]
    items += [item.to_dict() for item in first.output]  # type: ignore[misc]
    items += result(call_of(first), "Rain.")
    second = client.responses.create(model=model, input=items, tools=[WEATHER], store=False)
    assert second.output_text.startswith("The tool says: Rain.")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model=model, input="?", previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"


@pytest.mark.parametrize("format", FORMATS)
def test_conversation_accumulates_history(client: openai.OpenAI, format: str) -> None:
    model = f"{format}/sim:{QUICK},echo"
    name = f"talk of {format}"
    tokens = []
    for number in range(3):
        response = client.responses.create(
            model=model, input=f"Turn {number}", conversation={"id": name}
        )
        assert response.conversation is not None
        assert response.conversation.id == name
        assert response.usage is not None
        tokens.append(response.usage.input_tokens)
    assert tokens == sorted(set(tokens))


def test_conversation_with_a_response_in_progress_is_busy(client: openai.OpenAI) -> None:
    with client.responses.create(
        model=LONG, input=QUESTION, conversation="busy", stream=True
    ) as stream:
        next(iter(stream))
        with pytest.raises(openai.ConflictError) as caught:
            client.responses.create(model=LONG, input="And I?", conversation="busy")
        assert caught.value.code == "conversation_busy"


def test_input_items_are_paginated(client: openai.OpenAI) -> None:
    given: ResponseInputParam = [{"role": "user", "content": f"Line {n}"} for n in range(25)]
    response = client.responses.create(model=f"{IN_PROCESS}/sim:{QUICK}", input=given)
    newest_first = [item.id for item in client.responses.input_items.list(response.id)]
    assert len(newest_first) == len(set(newest_first)) == 25
    pages = client.responses.input_items.list(response.id, limit=10, order="asc").iter_pages()
    found = [page.data for page in pages]
    assert [len(page) for page in found] == [10, 10, 5]
    items = [item for page in found for item in page]
    assert [item.id for item in items] == newest_first[::-1]
    texts = [
        part.text
        for item in items
        if item.type == "message"
        for part in item.content
        if part.type == "input_text"
    ]
    assert texts == [f"Line {n}" for n in range(25)]
    after = client.responses.input_items.list(response.id, order="asc", after=str(items[22].id))
    assert [item.id for item in after] == [item.id for item in items[23:]]


def test_cancelled_response_can_be_read_and_continued(
    client: openai.OpenAI, server: Server
) -> None:
    with client.responses.create(model=LONG, input=QUESTION, stream=True) as stream:
        reading = iter(stream)
        created = next(reading)
        assert created.type == "response.created"
        text = ""
        while len(text) < 20:
            event = next(reading)
            text += event.delta if event.type == "response.output_text.delta" else ""
        running = client.responses.retrieve(created.response.id)
        assert running.status == "in_progress"
        assert running.output_text.startswith(text[:20])
        cancelled = client.responses.cancel(created.response.id)
        rest = list(reading)
    assert (cancelled.status, cancelled.error) == ("cancelled", None)
    assert cancelled.output_text.startswith(text)
    assert rest[-1].type == "response.failed"
    assert last_response(rest) == cancelled
    assert client.responses.retrieve(cancelled.id) == cancelled
    assert client.responses.cancel(cancelled.id) == cancelled
    continued = client.responses.create(
        model=f"{IN_PROCESS}/sim:{QUICK}", input="Go on", previous_response_id=cancelled.id
    )
    assert continued.status == "completed"


@pytest.mark.parametrize(("end", "delay"), [("cancel", 21), ("delete", 22)])
def test_sdk_does_not_retry_a_cancelled_response(
    client: openai.OpenAI, server: Server, end: str, delay: int
) -> None:
    model = f"{IN_PROCESS}/v:delay={delay}ms,tokens=5000"

    def begun() -> list[tuple[object, ...]]:
        return server.rows(f"SELECT id FROM turns WHERE model = '{model}'")  # noqa: S608

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(
            client.with_options(max_retries=2).responses.create, model=model, input="A"
        )
        while not begun():
            assert not call.done()
        ((turn_id,),) = begun()
        getattr(client.responses, end)(str(turn_id).replace("turn_", "resp_"))
        with pytest.raises(openai.ConflictError) as caught:
            call.result()
    assert caught.value.code == "cancel_requested"
    assert len(begun()) == 1


def test_deleted_response_is_gone(client: openai.OpenAI, server: Server) -> None:
    response = client.responses.create(
        model=f"{IN_PROCESS}/sim:{QUICK}", input="A secret", conversation="secret"
    )
    client.responses.delete(response.id)
    for ask in (
        lambda: client.responses.retrieve(response.id),
        lambda: client.responses.retrieve(response.id, stream=True),
        lambda: client.responses.input_items.list(response.id),
        lambda: client.responses.cancel(response.id),
        lambda: client.responses.delete(response.id),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            ask()
        assert caught.value.code == "response_not_found"
    turn_id = response.id.replace("resp_", "turn_")
    kept = "SELECT turn_id FROM messages UNION SELECT turn_id FROM turn_segments"
    assert (turn_id,) not in server.rows(kept)
    again = client.responses.create(
        model=f"{IN_PROCESS}/sim:{QUICK},echo", input="Hello", conversation="secret"
    )
    fresh = client.responses.create(model=f"{IN_PROCESS}/sim:{QUICK},echo", input="Hello")
    assert again.usage == fresh.usage


async def test_deleting_a_running_response_cancels_it(
    client: openai.OpenAI, server: Server
) -> None:
    with client.responses.create(model=LONG, input=QUESTION, stream=True) as stream:
        reading = iter(stream)
        created = next(reading)
        assert created.type == "response.created"
        client.responses.delete(created.response.id)
        assert last_response(list(reading)).status == "cancelled"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(created.response.id)
    found = await turn(server, created.response.id.replace("resp_", "turn_"))
    assert (found["reason"], found["text"]) == ("cancel_requested", "")


async def test_closing_a_stream_early_ends_the_turn(client: openai.OpenAI, server: Server) -> None:
    stream = client.responses.create(model=LONG, input=QUESTION, stream=True)
    created = next(iter(stream))
    assert created.type == "response.created"
    stream.close()
    turn_id = created.response.id.replace("resp_", "turn_")
    found = await ended_turn(server, turn_id)
    assert found["reason"] == "client_disconnected"


def test_compaction_and_continuing_from_it(client: openai.OpenAI) -> None:
    model = f"{IN_PROCESS}/sim:{QUICK},tokens=20"
    first = client.responses.create(model=model, input="My name is Ada.")
    compacted = client.responses.compact(model=model, input="Hello", previous_response_id=first.id)
    assert [item.type for item in compacted.output] == ["message", "message", "compaction"]
    assert compacted.usage.output_tokens == 20
    # The SDK's types do not allow user messages in this output, although OpenAI's API returns them.
    items = [item.to_dict(warnings=False) for item in compacted.output]
    answer = client.responses.create(model=model, input=[*items, {"role": "user", "content": "?"}])  # type: ignore[list-item]
    assert answer.status == "completed"


def test_input_token_counts(client: openai.OpenAI) -> None:
    model = f"{IN_PROCESS}/sim:{QUICK}"
    few = client.responses.input_tokens.count(model=model, input="Hi")
    many = client.responses.input_tokens.count(model=model, input="Hi " * 100, tools=[WEATHER])
    assert 0 < few.input_tokens < many.input_tokens


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("nobody", openai.NotFoundError),
        ("openai-chat/v:error=429,retry=30", openai.RateLimitError),
        ("openai-responses/v:context", openai.BadRequestError),
        ("anthropic/v:error=500", openai.InternalServerError),
        ("gemini/v:refuse", openai.InternalServerError),
    ],
)
def test_errors_raise_the_matching_sdk_exceptions(
    client: openai.OpenAI, model: str, kind: type[openai.APIStatusError]
) -> None:
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            client.responses.create(model=model, input=QUESTION, stream=stream)
        assert isinstance(caught.value.body, dict)
        assert caught.value.body.keys() == {"message", "type", "param", "code"}
    if kind is openai.RateLimitError:
        assert caught.value.response.headers["retry-after"] == "30"


def test_unsupported_parameter_is_named_by_its_path(client: openai.OpenAI) -> None:
    model = f"{IN_PROCESS}/sim:{QUICK}"
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=model, input="Hi", background=True)
    assert caught.value.param == "background"
    part: ResponseInputFileParam = {"type": "input_file", "filename": "f"}
    with_file: ResponseInputParam = [{"type": "message", "role": "user", "content": [part]}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=model, input=with_file)
    assert caught.value.param == "input[0].content[0].file_data"


@pytest.mark.parametrize("fault", ["cut=4", "errorframe=4", "reset=4"])
def test_interrupted_stream_ends_as_failed(client: openai.OpenAI, fault: str) -> None:
    # Without `noprefill` the answer would be continued after the interruption.
    model = f"openai-chat/v:{fault},first=0,delay=0,noprefill"
    events: list[ResponseStreamEvent] = []
    # As with OpenAI's service, the SDK raises at the error event before `response.failed`.
    stream = client.responses.create(model=model, input=QUESTION, stream=True)
    with stream, pytest.raises(openai.APIError) as caught:
        events.extend(stream)
    assert caught.value.code == "server_error"
    assert events[0].type == "response.created"
    failed = client.responses.retrieve(events[0].response.id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.message == caught.value.message
    assert failed.output_text


@on_each_loop
def test_async_streamed_and_unstreamed_responses_are_equal(server: Server, run: Runner) -> None:
    async def main() -> None:
        async with async_sdk(server) as client:
            model = f"{IN_PROCESS}/sim:{QUICK}"
            stream = await client.responses.create(model=model, input=QUESTION, stream=True)
            events = [event async for event in stream]
            streamed = last_response(events)
            whole = await client.responses.create(model=model, input=QUESTION)
            assert streamed.output_text == whole.output_text != ""
            assert await client.responses.retrieve(streamed.id) == streamed
            again = await client.responses.retrieve(streamed.id, stream=True, starting_after=3)
            assert [event async for event in again] == events[4:]

    run(main)
