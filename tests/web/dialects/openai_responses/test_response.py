"""Tests of the response object: all fields, ends and intermediate states."""

import json
from collections.abc import Sequence
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseError
from openai.types.responses.response_output_item import ResponseOutputItem

from actors.answer.builder import fold
from actors.answer.changes import ItemKind
from actors.answer.codec import decode_items, encode_items
from actors.answer.items import items_of
from actors.turn import events
from actors.turn.events import AnyEvent, Reasoning, Refusal, Text, ToolCall, ToolCallDelta
from actors.turn.outcome import ErrorInfo, Reason, Usage
from tests.support.dialect_journals import DIALECTS
from tests.support.responses_readers import read_object
from tests.support.sample_events import STARTED, answer_events, ended
from tests.support.sizes import examples
from tests.support.strict_types import strictly
from tests.web.test_outcomes_doc import rows
from web.dialects.openai_responses.items import item_id, output_items, response_id, turn_id_of
from web.dialects.openai_responses.response import (
    CODES,
    ResponseData,
    answer_of,
    object_of,
    response_error,
    response_object,
)

COMPLETED = ("completed", None, "completed")
CUT = ("incomplete", "max_output_tokens", "incomplete")
FILTERED = ("incomplete", "content_filter", "incomplete")
FAILED = ("failed", None, "failed")
ENDS = dict.fromkeys(Reason, FAILED) | {
    Reason.STOP: COMPLETED,
    Reason.TOOL_CALLS: COMPLETED,
    Reason.PAUSE_TURN: COMPLETED,
    Reason.LENGTH: CUT,
    Reason.SIZE_LIMIT: CUT,
    Reason.CONTENT_FILTER: FILTERED,
    Reason.GUARD_BLOCKED: FILTERED,
    Reason.GUARD_REJECTED: FILTERED,
    Reason.CANCEL_REQUESTED: ("cancelled", None, "failed"),
}
"""Status, reason for being incomplete, and the last event of a stream."""


def shown(journal: Sequence[AnyEvent], options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the object as JSON after checking it."""
    body = msgspec.json.encode(response_object(journal, options or {}))
    read_object(body)
    found: dict[str, Any] = json.loads(body)
    return found


def test_object_of_a_complete_answer() -> None:
    journal: list[AnyEvent] = [STARTED, Reasoning("hm"), Text("Hello"), ended()]
    assert shown(journal) == {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "background": False,
        "completed_at": 1_700_000_002,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "main-model",
        "output": [
            {
                "id": "rs_1_0",
                "type": "reasoning",
                "status": "completed",
                "summary": [{"type": "summary_text", "text": "hm"}],
            },
            {
                "id": "msg_1_1",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
                ],
            },
        ],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "conversation": None,
        "prompt": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 7,
            "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
            "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 10,
        },
        "user": None,
        "metadata": {},
        "access_programs": None,
        "image": None,
        "input_transformations": None,
        "moderation": None,
        "prompt_cache_diagnostics": None,
        "prompt_cache_options": None,
        "tool_usage": None,
    }


def test_table_covers_all_reasons() -> None:
    assert ENDS.keys() == rows("Reasons").keys()


@pytest.mark.parametrize("reason", Reason)
def test_every_end_has_its_status(reason: Reason) -> None:
    journal: list[AnyEvent] = [STARTED, Text("a"), ended(reason)]
    response = shown(journal)
    status, incomplete, _ = ENDS[reason]
    assert response["status"] == status
    assert response["incomplete_details"] == (incomplete and {"reason": incomplete})
    assert (response["completed_at"] is None) == (status != "completed")
    assert (response["error"] is None) == (status != "failed")
    expressible = reason in DIALECTS["openai-responses"].finishes
    assert expressible == (status in ("completed", "incomplete"))
    assert response["usage"]["total_tokens"] == 10


@pytest.mark.parametrize("reason", [reason for reason in Reason if ENDS[reason] is FAILED])
def test_end_without_its_own_error_has_a_message_and_code(reason: Reason) -> None:
    error = shown([STARTED, ended(reason)])["error"]
    assert error["code"] == "server_error"
    assert error["message"].endswith(f" ({reason})")


def test_running_turn_shows_its_content_so_far() -> None:
    response = shown([STARTED, Reasoning("hm"), Text("Hel"), Text("lo")])
    assert response["status"] == "in_progress"
    assert [item["status"] for item in response["output"]] == ["completed", "in_progress"]
    assert response["output"][1]["content"][0]["text"] == "Hello"
    assert (response["usage"], response["completed_at"]) == (None, None)


def test_turn_without_content_is_in_progress() -> None:
    answer = ResponseData(turn_id="turn_1", model="large", created_at=1.5)
    body = msgspec.json.encode(object_of(answer, {}))
    response = read_object(body)
    assert (response.status, response.model, response.output) == ("in_progress", "large", [])


def test_empty_journal_is_rejected() -> None:
    with pytest.raises(ValueError, match="must begin with Started"):
        response_object([], {})


def test_unanswered_turn_names_the_requested_model() -> None:
    asked = msgspec.structs.replace(STARTED, provider=None, upstream_model=None)
    end = msgspec.structs.replace(ended(Reason.UPSTREAM_UNREACHABLE), upstream_model=None)
    assert shown([asked, end])["model"] == "large"


def test_running_turn_names_the_current_upstream_model() -> None:
    assert shown([STARTED, events.RouteChanged("spare", "spare-model", "refused")])["model"] == (
        "spare-model"
    )


def test_echo_replaces_the_defaults() -> None:
    echo = {
        "instructions": "Be brief.",
        "temperature": 0.5,
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
        "store": False,
        "previous_response_id": "resp_0",
        "conversation": {"id": "conv_1"},
        "metadata": {"a": "b"},
    }
    response = shown([STARTED, ended()], {"echo": echo})
    assert {name: response[name] for name in echo} == echo
    assert response["top_p"] == 1.0


def test_echo_cannot_replace_the_outcome() -> None:
    echo = {"id": "resp_2", "status": "failed", "output": [1], "usage": 3, "model": "other"}
    assert shown([STARTED, ended()], {"echo": echo}) == shown([STARTED, ended()])


@pytest.mark.parametrize("options", [{}, {"include_usage": True}, {"echo": None}, {"echo": [1]}])
def test_turns_of_other_dialects_are_rendered(options: dict[str, Any]) -> None:
    assert shown([STARTED, Text("a"), ended()], options) == shown([STARTED, Text("a"), ended()])


def test_objects_share_no_mutable_values() -> None:
    first = response_object([STARTED], {})
    assert isinstance(first["metadata"], dict)
    first["metadata"]["a"] = "b"
    assert response_object([STARTED], {})["metadata"] == {}


def test_unknown_usage_is_null() -> None:
    assert shown([STARTED, ended(usage=None)])["usage"] is None
    free = Usage(input_tokens=0, output_tokens=0)
    assert shown([STARTED, ended(usage=free)])["usage"]["total_tokens"] == 0


def test_only_content_after_a_retry_counts() -> None:
    journal: list[AnyEvent] = [STARTED, Text("bad"), events.Retry("guard"), Text("good"), ended()]
    (message,) = shown(journal)["output"]
    assert message["content"][0]["text"] == "good"


def test_replacement_takes_the_place_of_the_text() -> None:
    journal: list[AnyEvent] = [STARTED, Text("bad"), events.Replace("good", "guard"), ended()]
    (message,) = shown(journal)["output"]
    assert (message["id"], message["content"][0]["text"]) == ("msg_1_0", "good")


def test_object_can_be_built_from_stored_items() -> None:
    """The journal may have been deleted, but the items are stored."""
    journal: list[AnyEvent] = [
        STARTED,
        Text("a", '{"content":[{"token":"a","logprob":-1}]}'),
        Refusal("no"),
        ToolCallDelta(0, "call_a", "f", "{"),
        ended(Reason.UPSTREAM_TRUNCATED, error=ErrorInfo(status=502, message="cut", code="x")),
    ]
    found = answer_of(journal)
    kept = msgspec.structs.replace(
        found, items=decode_items(encode_items(items_of(fold(journal))) or "[]")
    )
    body = msgspec.json.encode(object_of(kept, {}))
    assert json.loads(body) == shown(journal)


def test_output_items_can_be_built_alone() -> None:
    journal: list[AnyEvent] = [STARTED, Text("a"), ToolCall(0, "call_a", "f", "{}"), ended()]
    spelled = msgspec.json.encode(output_items("turn_1", items_of(fold(journal))))
    assert json.loads(spelled) == shown(journal)["output"]


def test_response_id_and_turn_id_convert_both_ways() -> None:
    assert response_id("turn_abc") == "resp_abc"
    assert turn_id_of("resp_abc") == "turn_abc"
    assert turn_id_of("turn_abc") is None
    assert item_id("turn_abc", ItemKind.FUNCTION_CALL, 3) == "fc_abc_3"


def test_error_codes_are_those_of_the_sdk() -> None:
    listed = set(get_args(ResponseError.model_fields["code"].annotation))
    assert CODES - listed == {"context_length_exceeded"}
    assert listed <= CODES


@pytest.mark.parametrize(
    ("info", "code", "message"),
    [
        (ErrorInfo(status=502, message="m"), "server_error", "m"),
        (ErrorInfo(status=502, message="m", code="server_error"), "server_error", "m"),
        (
            ErrorInfo(status=504, message="m", code="idle_timeout"),
            "server_error",
            "m (idle_timeout)",
        ),
        (ErrorInfo(status=429, message="m", code="x"), "rate_limit_exceeded", "m (x)"),
        (ErrorInfo(status=400, message="m", code="x"), "invalid_prompt", "m (x)"),
        (ErrorInfo(status=422, message="m"), "invalid_prompt", "m"),
        (ErrorInfo(status=499, message="m"), "server_error", "m"),
        (ErrorInfo(status=400, message="m", code="invalid_image_url"), "invalid_image_url", "m"),
    ],
)
def test_errors_have_a_listed_code_and_name_their_own(
    info: ErrorInfo, code: str, message: str
) -> None:
    error = response_error(info)
    assert (error["code"], error["message"]) == (code, message)
    strictly(ResponseError, msgspec.json.encode(error))


def test_error_has_param_and_message() -> None:
    info = ErrorInfo(status=400, message="m", type="invalid_request_error", param="input[0]")
    assert response_error(info)["param"] == "input[0]"
    assert response_error(info)["type"] == "invalid_request_error"


answers = st.lists(answer_events | st.just(events.Retry("guard")), max_size=10)


@settings(max_examples=examples(50))
@given(answers, st.sampled_from(Reason), st.integers(0, 11))
def test_every_state_of_any_answer_parses_with_the_sdk_types(
    answer: list[AnyEvent], reason: Reason, so_far: int
) -> None:
    journal: list[AnyEvent] = [STARTED, *answer, ended(reason)]
    response = read_object(msgspec.json.encode(response_object(journal, {})))
    assert response.output_text == fold(answer).text
    part = journal[: so_far + 1]
    playing = read_object(msgspec.json.encode(response_object(part, {})))
    assert playing.output_text == fold(part).text


def test_items_parse_with_the_sdk_types() -> None:
    journal: list[AnyEvent] = [
        STARTED,
        Reasoning("a"),
        Refusal("b"),
        ToolCall(0, "c", "d", "{}"),
        ended(),
    ]
    for item in shown(journal)["output"]:
        strictly(ResponseOutputItem, json.dumps(item))
