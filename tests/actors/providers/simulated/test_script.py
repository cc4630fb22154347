"""Tests of scripts: determinism, exact token counts and positions of faults."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.simulated import PriorCalls, Script, script
from actors.providers.simulated.options.behaviour import Fault, FaultKind
from actors.providers.simulated.prose import pieces
from actors.providers.simulated.steps import TornFrame
from actors.turn.chat_messages import read_messages
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

Message = dict[str, object]

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}


def message(role: str, content: object) -> Message:
    return {"role": role, "content": content}


def ask(model: str, *messages: Message, **parameters: object) -> ModelCall:
    asked = list(messages) or [message("user", "Tell me of the stage.")]
    return ModelCall(upstream_model=model, messages=read_messages(asked), parameters=parameters)


def chunks(result: Script) -> list[Chunk]:
    return [step.act for step in result.steps if not isinstance(step.act, Fault | TornFrame)]


def text(result: Script) -> str:
    return "".join(chunk.text for chunk in chunks(result) if isinstance(chunk, TextChunk))


def finish(result: Script) -> Reason:
    (found,) = [chunk.reason for chunk in chunks(result) if isinstance(chunk, FinishChunk)]
    return found


def usage(result: Script) -> Usage:
    (found,) = [chunk.usage for chunk in chunks(result) if isinstance(chunk, UsageChunk)]
    return found


def calls(result: Script) -> dict[str | None, list[str]]:
    found: dict[str | None, list[str]] = {}
    names: dict[int, str | None] = {}
    for chunk in chunks(result):
        if isinstance(chunk, ToolCallChunk):
            names.setdefault(chunk.index, chunk.name)
            found.setdefault(names[chunk.index], []).append(chunk.arguments)
    return found


@given(st.lists(st.builds(message, st.sampled_from(["system", "user", "tool"]), st.text())))
def test_the_same_call_has_the_same_script(messages: list[Message]) -> None:
    call = ModelCall(upstream_model="sim", messages=read_messages(messages), parameters={})
    again = msgspec.json.decode(msgspec.json.encode(call), type=ModelCall)
    assert script(call) == script(again)


def test_words_depend_only_on_prompt_and_voice() -> None:
    plain = script(ask("sim"))
    assert text(script(ask("other"))) != text(plain)
    assert text(script(ask("sim", message("user", "Something else")))) != text(plain)
    assert text(script(ask("sim:delay=0,chunk=7,nousage"))) == text(plain)
    assert 40 <= usage(plain).output_tokens <= 120


@given(st.integers(1, 200), st.integers(1, 9), st.integers(0, 30), st.none() | st.integers(1, 250))
def test_usage_is_exact(length: int, size: int, thought: int, most: int | None) -> None:
    reasoning = f",reasoning={thought}" if thought else ""
    result = script(ask(f"sim:tokens={length},chunk={size}{reasoning}", max_tokens=most))
    total = min(length + thought, most or 1000)
    reported = usage(result)
    assert reported.output_tokens == sum(step.tokens for step in result.steps) == total
    assert reported.reasoning_tokens == min(thought, total)
    assert len(pieces(text(result))) == total - reported.reasoning_tokens
    assert reported.input_tokens == 6
    assert finish(result) is (Reason.LENGTH if total < length + thought else Reason.STOP)


def test_delays_of_the_steps() -> None:
    result = script(ask("sim:tokens=3,head=1s,first=300ms,delay=20ms"))
    assert result.head_s == 1
    assert [step.after_s for step in result.steps] == [0.3, 0.02, 0.02, 0, 0]
    grouped = script(ask("sim:tokens=5,chunk=2,delay=20ms"))
    assert [(step.after_s, step.tokens) for step in grouped.steps] == [
        (0.05, 2), (0.04, 2), (0.04, 1), (0, 0), (0, 0),
    ]  # fmt: skip


def test_stop_ends_the_text_before_the_word() -> None:
    whole = text(script(ask("sim")))
    word = whole.split()[5]
    result = script(ask("sim", stop=["never said", f" {word}"]))
    assert text(result) == whole[: whole.index(f" {word}")]
    assert finish(result) is Reason.STOP
    assert usage(result).output_tokens == len(pieces(text(result)))


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": "5"}, "max_completion_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"stop": [1]}, "stop"),
        ({"n": 2}, "n"),
    ],
)
def test_invalid_parameter_is_a_400(parameters: dict[str, object], param: str) -> None:
    opening = script(ask("sim", **parameters)).opening
    assert isinstance(opening, ErrorInfo)
    assert (opening.status, opening.param) == (400, param)


def test_null_parameters_are_ignored() -> None:
    assert script(ask("sim", n=None, max_tokens=None, stop=None)) == script(ask("sim"))


def test_an_unknown_setting_is_a_404() -> None:
    opening = script(ask("sim:oops")).opening
    assert isinstance(opening, ErrorInfo)
    assert (opening.status, opening.code) == (404, "model_not_found")
    assert "oops" in opening.message


def test_styles() -> None:
    assert text(script(ask("sim:count,tokens=4"))) == "1 2 3 4"
    again = message("user", [{"type": "text", "text": "Échó!"}])
    echo = script(ask("sim:echo", message("user", "a  b"), message("assistant", "?"), again))
    assert text(echo) == "Échó!"
    assert not text(script(ask("sim:unicode"))).isascii()


def test_a_refusal_and_a_filtered_answer() -> None:
    refused = chunks(script(ask("sim:refusal,tokens=3")))[:3]
    assert all(isinstance(chunk, RefusalChunk) for chunk in refused)
    filtered = script(ask("sim:filter=4"))
    assert usage(filtered).output_tokens == 4
    assert finish(filtered) is Reason.CONTENT_FILTER


def test_reasoning_comes_first() -> None:
    kinds = [type(chunk) for chunk in chunks(script(ask("sim:reasoning=2,tokens=2")))]
    assert kinds == [ReasoningChunk, ReasoningChunk, TextChunk, TextChunk, FinishChunk, UsageChunk]


def test_a_tool_is_called_in_pieces_with_arguments_that_fit() -> None:
    result = script(ask("sim:tool", tools=[WEATHER, CLOCK]))
    (arguments,) = calls(result).values()
    assert len(arguments) > 3
    made = msgspec.json.decode("".join(arguments), type=dict[str, object])
    assert isinstance(made["city"], str)
    assert isinstance(made["days"], int)
    assert finish(result) is Reason.TOOL_CALLS
    assert usage(result).output_tokens == len(arguments)


@pytest.mark.parametrize(
    ("model", "parameters", "names"),
    [
        ("sim", {}, []),
        ("sim", {"tool_choice": "auto"}, []),
        ("sim", {"tool_choice": "required"}, ["weather"]),
        ("sim", {"tool_choice": {"type": "function", "function": {"name": "clock"}}}, ["clock"]),
        ("sim:tool=2", {}, ["weather", "clock"]),
        ("sim:tool=2", {"parallel_tool_calls": False}, ["weather"]),
        ("sim:tool", {"tool_choice": "none"}, []),
    ],
)
def test_which_tools_are_called(
    model: str, parameters: dict[str, object], names: list[str]
) -> None:
    assert list(calls(script(ask(model, tools=[WEATHER, CLOCK], **parameters)))) == names


def test_a_tool_call_without_tools_is_a_text() -> None:
    assert text(script(ask("sim:tool"))) == text(script(ask("sim")))


def test_tool_call_ids_are_unique() -> None:
    ids = [
        chunk.id
        for chunk in chunks(script(ask("sim:tool=3", tools=[WEATHER])))
        if isinstance(chunk, ToolCallChunk) and chunk.id
    ]
    assert len(set(ids)) == 3


def test_tool_result_is_answered_with_text_that_quotes_it() -> None:
    messages = (
        message("user", "Weather?"),
        message("assistant", None),
        message("tool", "17 degrees"),
    )
    result = script(ask("sim:tool", *messages, tools=[WEATHER], tool_choice="required"))
    assert "17 degrees" in text(result)
    assert finish(result) is Reason.STOP


def test_response_format_gives_json() -> None:
    assert msgspec.json.decode(text(script(ask("sim", response_format={"type": "json_object"}))))
    schema = {"type": "object", "properties": {"a": {"const": 1}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert text(script(ask("sim", response_format=wanted))) == '{"a":1}'


@given(st.sampled_from(["cut", "break", "reset", "end", "stall", "errorframe", "noise"]),
       st.integers(0, 70), st.integers(1, 8))  # fmt: skip
def test_fault_comes_after_the_configured_tokens(kind: str, at: int, size: int) -> None:
    result = script(ask(f"sim:tokens=60,chunk={size},{kind}={at}"))
    whole = text(script(ask("sim:tokens=60")))
    last = result.steps[-1].act
    if at > 60:
        assert finish(result) is Reason.STOP
        return
    assert isinstance(last, Fault)
    assert last.kind == kind
    assert sum(step.tokens for step in result.steps) == at
    assert text(result) == "".join(pieces(whole)[:at])
    assert not any(isinstance(chunk, FinishChunk) for chunk in chunks(result))


def test_fault_is_due_when_the_missing_token_was() -> None:
    assert script(ask("sim:cut=0,first=300ms")).steps[-1].after_s == 0.3
    assert script(ask("sim:cut=1,delay=30ms")).steps[-1].after_s == 0.03
    assert script(ask("sim:tokens=1,cut=1,delay=30ms")).steps[-1].after_s == 0.03


def test_torn_frame_replaces_one_token() -> None:
    acts = [step.act for step in script(ask("sim:count,tokens=3,torn=1")).steps]
    assert acts[:3] == [TextChunk("1"), TornFrame(TextChunk(" 2")), TextChunk(" 3")]
    assert isinstance(acts[3], FinishChunk)


def test_malformed_frame_is_inserted() -> None:
    result = script(ask("sim:count,tokens=3,badjson=2"))
    assert [type(chunk) for chunk in chunks(result)][:4] == [
        TextChunk, TextChunk, SkippedChunk, TextChunk,
    ]  # fmt: skip
    assert text(result) == "1 2 3"


def test_hanging_comes_after_a_whole_answer() -> None:
    result = script(ask("sim:hang,tokens=2"))
    assert finish(result) is Reason.STOP
    assert result.steps[-1].act == Fault(kind=FaultKind.HANG)


@pytest.mark.parametrize(
    ("model", "status", "code", "retry_after_s"),
    [
        ("sim:error=500", 500, None, None),
        ("sim:error=402", 402, "insufficient_quota", None),
        ("sim:error=418", 418, None, None),
        ("sim:429=2", 429, "rate_limit_exceeded", 2),
        ("sim:context", 400, "context_length_exceeded", None),
        ("sim:policy", 400, "content_policy_violation", None),
    ],
)
def test_errors(model: str, status: int, code: str | None, retry_after_s: float | None) -> None:
    opening = script(ask(model)).opening
    assert isinstance(opening, ErrorInfo)
    assert (opening.status, opening.code, opening.retry_after_s) == (status, code, retry_after_s)


def test_fault_is_limited_by_times_and_duration() -> None:
    assert script(ask("sim:error=500,times=2"), past=PriorCalls(requests=1)).opening is not None
    assert script(ask("sim:error=500,times=2"), past=PriorCalls(requests=2)) == script(ask("sim"))
    assert script(ask("sim:error=500,for=60s"), past=PriorCalls(age_s=59.9)).opening is not None
    assert script(ask("sim:error=500,for=60s"), past=PriorCalls(age_s=60)) == script(ask("sim"))
