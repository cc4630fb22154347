"""Tests of the continuation request, and of the answers that are never continued."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.continuation.request import ShownAnswer, continuation, prefilled, why_not_continued
from actors.continuation.splicing.splice import Seam
from actors.providers.simulated.answer import find_partial_answer
from actors.providers.simulated.options.behaviour import Resume
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
from actors.turn.outcome import Reason
from actors.turn.request import DEFAULT_INSTRUCTION
from tests.support.sample_events import USAGE

EXPLANATION = Path(__file__).parents[3] / "docs" / "explanation" / "continuing.md"
Message = dict[str, object]
QUESTION: Message = {"role": "user", "content": "Who is on stage?"}
CONTINUE: Message = {"role": "user", "content": DEFAULT_INSTRUCTION}


def call(*messages: Message, **parameters: object) -> ModelCall:
    return ModelCall(
        upstream_model="large", messages=read_messages([*messages]), parameters=parameters
    )


def answer(content: object) -> Message:
    return {"role": "assistant", "content": content}


def continue_call(
    asked: ModelCall, shown: str, *, prefill: bool = False, used: int = 0
) -> ModelCall:
    return continuation(
        asked, shown, prefill=prefill, instruction=DEFAULT_INSTRUCTION, used_tokens=used
    )


def test_prefill_is_the_last_message_without_trailing_white_space() -> None:
    asked = call(QUESTION, temperature=0.5)
    assert continue_call(asked, " The lamp \n", prefill=True) == call(
        QUESTION, answer(" The lamp"), temperature=0.5
    )


def test_route_without_prefill_gets_the_instruction() -> None:
    assert continue_call(call(QUESTION), "The lamp ") == call(
        QUESTION, answer("The lamp"), CONTINUE
    )


def test_shown_text_is_appended_to_the_clients_prefill() -> None:
    asked = call(QUESTION, {**answer("It was a "), "name": "poet"})
    grown = {**answer("It was a dark night"), "name": "poet"}
    assert continue_call(asked, "dark night", prefill=True) == call(QUESTION, grown)
    assert continue_call(asked, "dark night") == call(QUESTION, grown, CONTINUE)
    assert prefilled(asked) + "dark night" == grown["content"]


def test_clients_prefill_may_have_parts_or_no_content() -> None:
    part = {"type": "text", "text": "It was a "}
    asked = call(QUESTION, answer([part]))
    more = {"type": "text", "text": "dark night"}
    assert continue_call(asked, "dark night", prefill=True) == call(QUESTION, answer([part, more]))
    assert prefilled(asked) == "It was a "
    empty = call(QUESTION, answer(None))
    assert continue_call(empty, "A dark night", prefill=True) == call(
        QUESTION, answer("A dark night")
    )
    assert prefilled(empty) == prefilled(call(QUESTION)) == prefilled(call()) == ""


@pytest.mark.parametrize("shown", ["", " \n"])
@pytest.mark.parametrize("prefill", [True, False])
def test_answer_without_text_is_requested_from_the_start(shown: str, prefill: bool) -> None:
    assert continue_call(call(QUESTION), shown, prefill=prefill) == call(QUESTION)


@given(st.integers(1, 10_000), st.integers(-5, 20_000), st.booleans())
def test_used_tokens_are_subtracted_from_the_limits(limit: int, used: int, prefill: bool) -> None:
    """The overlap allowance is added back, and at least 16 tokens remain."""
    asked = call(QUESTION, max_tokens=limit, max_completion_tokens=limit, seed=limit)
    left = max(min(limit, 16), limit - max(0, used if prefill else used - 16))
    assert continue_call(asked, "The", prefill=prefill, used=used).parameters == {
        "max_tokens": left,
        "max_completion_tokens": left,
        "seed": limit,
    }


def test_invalid_limit_is_left_for_the_provider_to_refuse() -> None:
    asked = call(QUESTION, max_tokens="9", max_completion_tokens=None)
    assert continue_call(asked, "The", used=5).parameters == asked.parameters


@pytest.mark.parametrize("prefill", [True, False])
def test_original_call_is_not_modified(prefill: bool) -> None:
    asked = call(QUESTION, answer([{"type": "text", "text": "It"}]), max_tokens=9)
    before = msgspec.json.encode(asked)
    continue_call(asked, " was", prefill=prefill, used=3)
    assert msgspec.json.encode(asked) == before


@pytest.mark.parametrize("prefill", [True, False])
@pytest.mark.parametrize("begun", [(), (answer("It "),)])
def test_simulated_model_finds_the_partial_answer(
    prefill: bool, begun: tuple[Message, ...]
) -> None:
    continued = continue_call(call(QUESTION, *begun), "was", prefill=prefill)
    partial = find_partial_answer(continued.messages, Resume.ON)
    assert partial is not None
    assert write_messages(partial.question) == [QUESTION]
    assert partial.text == ("It was" if begun else "was")
    assert partial.prefill is prefill


def said_of(*chunks: Chunk) -> ShownAnswer:
    said = ShownAnswer()
    for chunk in chunks:
        said.note(chunk)
    return said


def test_said_collects_text() -> None:
    said = said_of(TextChunk("a"), UsageChunk(USAGE), SkippedChunk("x"), FinishChunk(Reason.STOP))
    assert said.text == "a"
    said.note(TextChunk("b"))
    said.note(TextChunk("c"))
    assert said.text == said.text == "abc"
    assert said.obstacle is None
    assert ShownAnswer().text == ""


@pytest.mark.parametrize(
    ("chunk", "reason"),
    [
        (RefusalChunk("I"), "a refusal had begun"),
        (ToolCallChunk(0, "id", "name", ""), "a tool call had begun"),
        (TextChunk("t", "{}"), "logprobs were requested"),
    ],
)
def test_answers_that_are_never_continued(chunk: Chunk, reason: str) -> None:
    assert why_not_continued(call(QUESTION), said_of(TextChunk("The"), chunk)) == reason
    assert why_not_continued(call(QUESTION), said_of(chunk, TextChunk("The"))) == reason


@pytest.mark.parametrize(
    "parameters",
    [
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        {"response_format": {"type": "grammar", "grammar": "…"}},
        {"response_format": "json"},
        {"guided_json": {}},
        {"grammar": "root ::= …"},
        {"logprobs": True},
        {"logprobs": True, "top_logprobs": 2},
        {"top_logprobs": 2},
    ],
)
def test_calls_that_are_never_continued(parameters: dict[str, object]) -> None:
    assert why_not_continued(call(QUESTION, **parameters), said_of(TextChunk("The")))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"response_format": {"type": "text"}},
        {"response_format": None, "logprobs": None, "top_logprobs": None, "grammar": None},
        {"logprobs": False},
        {"tools": [{"type": "function"}]},
    ],
)
def test_calls_that_may_be_continued(parameters: dict[str, object]) -> None:
    asked = call(QUESTION, **parameters)
    assert why_not_continued(asked, said_of(TextChunk("The"))) is None
    assert why_not_continued(asked, said_of(ReasoningChunk("Hm"), TextChunk("The"))) is None
    assert why_not_continued(asked, said_of(ReasoningChunk("Hm"))) is None
    assert why_not_continued(asked, said_of()) is None


def test_instruction_asks_for_the_anchor() -> None:
    for words in ("exactly where it stops", "repeating its last", "verbatim", "no preamble"):
        assert words in DEFAULT_INSTRUCTION


def test_explanation_names_every_seam() -> None:
    text = EXPLANATION.read_text("utf-8")
    decided = text.split("## How the seam is decided")[1].split("\n## ")[0]
    rows = [row for row in decided.splitlines() if row.startswith("| ")]
    assert {cell for row in rows for cell in re.findall(r"`(\w+)` \|$", row)} == set(Seam)


@pytest.mark.parametrize(
    "parameters",
    [
        {"text": {"format": {"type": "json_schema"}}},
        {"output_config": {"format": {"type": "json_schema"}}},
        {"responseMimeType": "application/json"},
        {"regex": "a+"},
        {"include": ["message.output_text.logprobs"]},
    ],
)
def test_native_structured_output_is_never_continued(parameters: dict[str, object]) -> None:
    assert why_not_continued(call(QUESTION, **parameters), ShownAnswer()) is not None


def test_native_plain_text_may_be_continued() -> None:
    asked = call(
        QUESTION, text={"format": {"type": "text"}}, include=["reasoning.encrypted_content"]
    )
    assert why_not_continued(asked, ShownAnswer()) is None
