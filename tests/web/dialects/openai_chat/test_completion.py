"""Tests of the completion object of a turn."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.turn import events
from actors.turn.events import AnyEvent, Text
from actors.turn.outcome import Reason
from tests.support.chat_readers import read_completion
from tests.support.sample_events import STARTED, answer_events, ended
from web.dialects.openai_chat.completion import completion
from web.dialects.openai_chat.stream import FINISH_REASONS

CALL = events.ToolCall(0, "call_1", "f", "{}")


def message(*answer: AnyEvent, reason: Reason = Reason.STOP) -> dict[str, object]:
    return msgspec.json.decode(  # type: ignore[no-any-return]
        msgspec.json.encode(completion([STARTED, *answer, ended(reason)]))
    )["choices"][0]["message"]


def test_object_matches_the_golden_sample() -> None:
    assert completion([STARTED, Text("Hel"), Text("lo"), ended()]) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "main-model",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 3,
            "total_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    }


def test_tool_call_without_text_has_null_content() -> None:
    assert message(events.ToolCallDelta(0, "call_1", "f", "{}"), CALL) == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    }


def test_empty_answer_has_empty_content() -> None:
    assert message()["content"] == ""


def test_refusal_and_reasoning_have_their_own_fields() -> None:
    shown = message(events.Reasoning("h"), events.Reasoning("m"), events.Refusal("no"))
    assert shown == {
        "role": "assistant",
        "content": None,
        "refusal": "no",
        "reasoning_content": "hm",
    }


def test_replacement_replaces_the_text() -> None:
    assert message(Text("bad"), events.Replace("good", "guard"), Text("!"))["content"] == "good!"


def test_logprobs_are_joined() -> None:
    entry = '{"token":"%s","logprob":-0.5,"bytes":null,"top_logprobs":[]}'
    journal: list[AnyEvent] = [
        STARTED,
        Text("a", '{"content":[' + entry % "a" + '],"refusal":null}'),
        Text("b", '{"content":[' + entry % "b" + "]}"),
        Text("c"),
        ended(),
    ]
    whole = read_completion(msgspec.json.encode(completion(journal)))
    assert whole.choices[0].logprobs is not None
    assert [e.token for e in whole.choices[0].logprobs.content or []] == ["a", "b"]


def test_incomplete_journal_is_rejected() -> None:
    with pytest.raises(ValueError, match="must begin with Started"):
        completion([STARTED, Text("a")])


@given(st.lists(answer_events, max_size=8), st.sampled_from(sorted(FINISH_REASONS)))
def test_every_object_parses_with_the_sdk_types(answer: list[AnyEvent], reason: Reason) -> None:
    body = msgspec.json.encode(completion([STARTED, *answer, ended(reason)]))
    whole = read_completion(body)
    assert whole.choices[0].finish_reason == FINISH_REASONS[reason]


@pytest.mark.parametrize("logprobs", ["[1]", '"x"', '{"content": 5}', "{"])
def test_malformed_logprobs_are_dropped_alone(logprobs: str) -> None:
    journal: list[AnyEvent] = [STARTED, events.Text("a", logprobs), ended()]
    told = msgspec.json.decode(msgspec.json.encode(completion(journal)))["choices"][0]
    assert told["logprobs"] == {"content": [], "refusal": None}
    assert told["message"]["content"] == "a"
