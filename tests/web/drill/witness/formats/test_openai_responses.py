"""Responses as served by the simulated provider, read with the SDK's types and our decoder."""

import contextlib
from itertools import groupby

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import (
    ResponseCompletedEvent,
    ResponseErrorEvent,
    ResponseFailedEvent,
    ResponseFunctionToolCall,
    ResponseIncompleteEvent,
    ResponseOutputMessage,
    ResponseReasoningItem,
)
from pydantic import ValidationError

from actors.providers.formats.openai_responses.decoder import (
    OPENAI_RESPONSES,
    ResponsesDecoder,
    ResponsesWholeDecoder,
)
from actors.turn.chat_messages import read_messages, write_messages
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.model_call import ModelCall
from actors.turn.outcome import ErrorInfo, Reason, Usage
from tests.support.decoder_feeds import drained
from tests.support.responses_sdk_readers import read_event, read_events, read_response
from web.drill.witness.formats.base import IncomingCall, Renderer
from web.drill.witness.formats.openai_responses import WIRE
from web.http.api_error import ApiError

PATH = "/v1/responses"
USAGE = UsageChunk(Usage(input_tokens=2, output_tokens=9, cached_input_tokens=1))
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}


def read(**document: object) -> IncomingCall:
    body = msgspec.json.encode({"model": "sim", "input": "Hi", **document})
    return WIRE.read(PATH, body)


def renderer(**document: object) -> Renderer:
    return WIRE.renderer(read(stream=True, **document), 7, 1000)


def rendered(*chunks: Chunk) -> bytes:
    render = renderer()
    return b"".join(render.frame(chunk) for chunk in chunks) + render.end()


def test_request_is_read() -> None:
    ask = read(
        instructions="Be brief.",
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "What is it?"},
                                         {"type": "input_image", "image_url": "https://x",
                                          "detail": "auto"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "role": "assistant",
             "content": [{"type": "output_text", "text": "Wait.", "annotations": []}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            {"type": "function_call_output", "call_id": "c2", "output": "warm"},
        ],
        tools=[TOOL],
        tool_choice={"type": "function", "name": "f"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {}}},
        reasoning={"effort": "low", "summary": "auto"},
        max_output_tokens=30,
        temperature=0.5,
        user="u",
        metadata={"a": "b"},
        include=[],
        stream=True,
    )  # fmt: skip
    assert ask.call.upstream_model == "sim"
    assert write_messages(ask.call.messages) == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "https://x"}},
            ],
        },
        {
            "role": "assistant",
            "content": "Wait.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": "warm"},
    ]
    function = {key: value for key, value in TOOL.items() if key != "type"}
    assert ask.call.parameters == {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        "reasoning_effort": "low",
        "max_completion_tokens": 30,
        "temperature": 0.5,
        "user": "u",
    }
    assert (ask.stream, ask.include_usage, ask.user) == (True, True, "u")
    assert ask.metadata == {"a": "b"}


def test_string_input_is_a_user_message() -> None:
    assert write_messages(read().call.messages) == [{"role": "user", "content": "Hi"}]
    assert read().stream is False


def test_request_of_our_format_round_trips() -> None:
    """The simulated model must answer the same messages alike in every format."""
    tool_call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    picture = {"type": "image_url", "image_url": {"url": "https://x.example/a", "detail": "low"}}
    call = ModelCall(
        upstream_model="sim",
        messages=read_messages(
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]},
                {"role": "assistant", "content": "Wait.", "tool_calls": [tool_call]},
                {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
                {"role": "user", "content": "So?"},
            ]
        ),
        parameters={
            "max_completion_tokens": 9,
            "tools": [{"type": "function", "function": {"name": "f", "strict": False}}],
            "response_format": {"type": "json_object"},
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "user": "u",
        },
    )
    ask = WIRE.read(PATH, OPENAI_RESPONSES.build(call, None).body)
    assert ask.call.upstream_model == "sim"
    assert ask.call.messages == call.messages
    assert ask.call.parameters == call.parameters
    assert ask.stream


@pytest.mark.parametrize(
    ("body", "complaint", "param"),
    [
        (b"", "not valid JSON", None),
        (b"[1]", "must be a JSON object", None),
        (b'"\xff"', "must be a JSON object", None),
        (b"[" * 100_000, "must be a JSON object", None),
        (b"{}", "field required", "model"),
        (b'{"model":"m"}', "field required", "input"),
        (b'{"model":"m","input":[1]}', "must be an object", "input[0]"),
        (b'{"model":"m","input":"a","max_output_tokens":0}', "equal to 1", "max_output_tokens"),
        (
            b'{"model":"m","input":"a","max_output_tokens":true}',
            "valid integer",
            "max_output_tokens",
        ),
    ],
)
def test_invalid_request_is_rejected(body: bytes, complaint: str, param: str | None) -> None:
    with pytest.raises(ApiError, match=complaint) as problem:
        WIRE.read(PATH, body)
    assert problem.value.info.param == param


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "role", "content", "text", "image_url", "detail", "call_id",
                         "arguments", "output", "format", "effort", "name", "mode"]),
        inner | st.sampled_from(["message", "function_call", "input_image", "function", "user",
                                 "function_call_output", "json_schema", "allowed_tools"]),
        max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(["input", "instructions", "tools", "tool_choice", "text", "reasoning",
                         "max_output_tokens", "metadata", "user", "stream", "include"]), ANY)
)  # fmt: skip
def test_any_body_is_read_or_rejected(document: dict[str, object]) -> None:
    with contextlib.suppress(ApiError):
        ask = read(**document)
        assert WIRE.renderer(ask, 1, 1).frame(TextChunk("a"))


def answers() -> st.SearchStrategy[list[Chunk]]:
    """Return a strategy of answers: reasoning, then tool calls, text or a refusal."""
    texts = st.lists(st.text(), max_size=4)
    thoughts = texts.map(lambda pieces: [ReasoningChunk(piece) for piece in pieces])
    content = st.one_of(
        texts.map(lambda pieces: [TextChunk(piece) for piece in pieces]),
        texts.map(lambda pieces: [RefusalChunk(piece) for piece in pieces]),
        st.lists(st.lists(st.text(), min_size=1, max_size=3), min_size=1, max_size=3).map(calls),
    )
    return st.tuples(thoughts, content).map(lambda both: [*both[0], *both[1]])


def calls(pieces: list[list[str]]) -> list[ToolCallChunk]:
    return [
        ToolCallChunk(index, None if number else f"c{index}", None if number else "f", piece)
        for index, arguments in enumerate(pieces)
        for number, piece in enumerate(arguments)
    ]


def joined(chunks: list[Chunk]) -> list[Chunk]:
    """Join adjacent chunks of a kind, tool calls by index, and drop empty text."""

    def key(chunk: Chunk) -> object:
        return type(chunk), chunk.index if isinstance(chunk, ToolCallChunk) else None

    merged: list[Chunk] = []
    for _, group in groupby(chunks, key):
        first, *more = group
        for chunk in more:
            if isinstance(first, ToolCallChunk) and isinstance(chunk, ToolCallChunk):
                first = msgspec.structs.replace(first, arguments=first.arguments + chunk.arguments)
            elif isinstance(first, TextChunk | ReasoningChunk | RefusalChunk):
                text = first.text + getattr(chunk, "text", "")
                first = msgspec.structs.replace(first, text=text)
        if getattr(first, "text", "x"):
            merged.append(first)
    return merged


def last_chunks(chunks: list[Chunk], reason: Reason) -> list[Chunk]:
    """Return the last chunks as our decoders order them: usage before the finish."""
    made = any(isinstance(chunk, ToolCallChunk) for chunk in chunks)
    stop = Reason.TOOL_CALLS if made else Reason.STOP
    return [
        USAGE,
        FinishChunk(reason if reason in (Reason.LENGTH, Reason.CONTENT_FILTER) else stop),
    ]


REASONS = st.sampled_from([Reason.STOP, Reason.LENGTH, Reason.CONTENT_FILTER])


@given(answers(), REASONS)
def test_stream_is_accepted_by_the_sdk_and_our_decoder(answer: list[Chunk], reason: Reason) -> None:
    stream = rendered(*answer, FinishChunk(reason), USAGE)
    events = read_events(stream)
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    chunks, failure = drained(ResponsesDecoder(), [stream])
    assert failure is None
    assert joined(chunks) == joined(answer) + last_chunks(answer, reason)


@given(answers(), REASONS)
def test_response_object_is_accepted_by_the_sdk_and_our_decoder(
    answer: list[Chunk], reason: Reason
) -> None:
    body = renderer().whole([*answer, FinishChunk(reason), USAGE])
    read_response(body)
    chunks, failure = drained(ResponsesWholeDecoder(), [body])
    assert failure is None
    assert joined(chunks) == joined(answer) + last_chunks(answer, reason)


def test_last_event_has_the_whole_answer() -> None:
    *_, last = read_events(
        rendered(
            ReasoningChunk("h"),
            ReasoningChunk("m"),
            ToolCallChunk(0, "call_0", "f", "{"),
            ToolCallChunk(0, None, None, "}"),
            ToolCallChunk(1, "call_1", "g", "{}"),
            FinishChunk(Reason.TOOL_CALLS),
            USAGE,
        )
    )
    assert isinstance(last, ResponseCompletedEvent)
    response = last.response
    assert (response.id, response.status) == ("resp_simulated_7", "completed")
    assert (response.created_at, response.completed_at) == (1000, 1000)
    thought, *made = response.output
    assert isinstance(thought, ResponseReasoningItem)
    assert [part.text for part in thought.summary] == ["hm"]
    assert all(isinstance(call, ResponseFunctionToolCall) for call in made)
    assert [(c.call_id, c.name, c.arguments) for c in made if c.type == "function_call"] == [
        ("call_0", "f", "{}"),
        ("call_1", "g", "{}"),
    ]
    assert len({item.id for item in response.output}) == 3
    usage = response.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (2, 9, 11)
    assert usage.input_tokens_details.cached_tokens == 1


def test_answer_at_the_length_limit_is_incomplete() -> None:
    *_, last = read_events(rendered(TextChunk("a"), FinishChunk(Reason.LENGTH), USAGE))
    assert isinstance(last, ResponseIncompleteEvent)
    assert last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "max_output_tokens"
    (message,) = last.response.output
    assert isinstance(message, ResponseOutputMessage)
    assert message.status == "incomplete"


def test_finish_waits_for_expected_usage() -> None:
    assert b"response.completed" not in rendered(TextChunk("a"), FinishChunk(Reason.STOP))
    ask = msgspec.structs.replace(read(stream=True), include_usage=False)
    frames = WIRE.renderer(ask, 7, 1000).frame(FinishChunk(Reason.STOP))
    *_, last = read_events(frames)
    assert isinstance(last, ResponseCompletedEvent)
    assert last.response.usage is None


def test_response_echoes_its_request() -> None:
    render = renderer(tools=[TOOL], temperature=0, text={"verbosity": "low"}, metadata={"a": "b"})
    response = read_response(render.whole([TextChunk("a")]))
    assert response.status == "completed"
    assert response.tools[0].type == "function"
    assert response.temperature == 0
    assert response.metadata == {"a": "b"}
    assert response.text is not None
    assert (response.text.verbosity, response.text.format and response.text.format.type) == (
        "low",
        "text",
    )


def test_faulty_frames() -> None:
    render = renderer()
    render.frame(TextChunk("a"))
    for wrong in (render.torn_frame(TextChunk(" whole")), render.frame(SkippedChunk("?"))):
        assert wrong.endswith(b"\n\n")
        with pytest.raises(ValidationError, match="Invalid JSON"):
            read_event(wrong.partition(b"data: ")[2])
    torn_frame = renderer().torn_frame(TextChunk(" whole"))
    assert torn_frame.endswith(b'"delta":" whole\n\n')
    assert b"\n\n" not in render.half_frame()
    assert b'delta":' not in render.half_frame()


@pytest.mark.parametrize("code", [None, "rate_limit_exceeded"])
@pytest.mark.parametrize("started", [False, True])
def test_error_in_the_stream_is_two_events(code: str | None, started: bool) -> None:
    render = renderer()
    stream = render.frame(TextChunk("a")) if started else b""
    *_, error, failed = read_events(stream + render.error_frame(code))
    assert isinstance(error, ResponseErrorEvent)
    assert error.code == code
    assert isinstance(failed, ResponseFailedEvent)
    assert failed.response.status == "failed"
    assert failed.response.error is not None
    assert failed.response.error.code == (code or "server_error")


def test_error_body() -> None:
    error = ErrorInfo(status=429, message="Slow", type="limit_error", code="rate", param="p")
    assert msgspec.json.decode(WIRE.error_body(error)) == {
        "error": {
            "message": "Slow",
            "type": "limit_error",
            "param": "p",
            "code": "rate",
        }
    }
