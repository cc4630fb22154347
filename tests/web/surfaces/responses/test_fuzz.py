"""Fuzz tests: any request is accepted or gets a 400 with a path, and accepted ones can run."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.turn.chat_messages import write_messages
from web.http.api_error import ApiError
from web.surfaces.responses.compact import summary_call
from web.surfaces.responses.history.conversation import conversation_of
from web.surfaces.responses.history.history import Chain
from web.surfaces.responses.history.message_groups import MessageGroup
from web.surfaces.responses.request import ResponsesRequest, read_responses_request

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
TYPES = st.sampled_from(
    [
        *("message", "function_call", "function_call_output", "reasoning", "item_reference"),
        *("compaction", "input_text", "output_text", "refusal", "input_image", "summary_text"),
        *("reasoning_text", "function", "allowed_tools", "json_schema", "text", "web_search"),
    ]
)
WORDS = st.sampled_from(["user", "assistant", "tool", "system", "auto", "c1", "f", "completed"])
KEYS = st.sampled_from(
    [
        *("type", "role", "content", "id", "call_id", "name", "arguments", "output", "summary"),
        *("text", "refusal", "image_url", "detail", "status", "encrypted_content", "tool_calls"),
        *("tool_call_id", "function", "format", "schema", "mode", "tools", "effort", "parameters"),
    ]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS | TYPES | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)
ITEM = st.dictionaries(KEYS, JSON, max_size=6)
FIELDS = st.sampled_from(
    [
        *("input", "instructions", "tools", "tool_choice", "text", "reasoning", "include"),
        *("conversation", "conversation_history", "previous_response_id", "metadata", "store"),
        *("temperature", "top_logprobs", "max_output_tokens", "truncation", "service_tier"),
        *("stream_options", "parallel_tool_calls", "max_tool_calls", "background", "prompt"),
    ]
)


def read(body: dict[str, object]) -> ResponsesRequest | None:
    """Return the request, or None after checking that it is a proper 400."""
    try:
        return read_responses_request(body)
    except ApiError as error:
        refused = error.info
    assert refused.status == 400
    assert refused.message
    assert refused.message.startswith(refused.param or "")
    return None


def joined_groups(ask: ResponsesRequest, chain: Chain) -> list[MessageGroup]:
    """Return the message groups for the model, or none after checking that it is a proper 400."""
    try:
        return conversation_of(ask, chain).groups
    except ApiError as error:
        refused = error.info
    assert refused.status == 400
    assert refused.param
    return []


@given(st.dictionaries(FIELDS, JSON, max_size=5))
def test_any_field_values_are_a_request_or_a_400(fields: dict[str, object]) -> None:
    read({"model": "m", "input": "Hi"} | fields)


@given(st.lists(ITEM, max_size=6), st.booleans())
def test_any_items_are_a_request_or_a_400(items: list[dict[str, object]], history: bool) -> None:
    body: dict[str, object] = {"model": "m", "input": items}
    if history:
        body = {"model": "m", "input": "Hi", "conversation_history": items}
    ask = read(body)
    if ask is not None:
        joined_groups(ask, Chain(items=ask.past.items or []))


PARTS = st.lists(
    st.sampled_from(
        [
            {"type": "input_text", "text": "a"},
            {"type": "output_text", "text": "b"},
            {"type": "refusal", "refusal": "c"},
            {"type": "input_image", "image_url": "http://a"},
        ]
    ),
    max_size=3,
)
ROLES = st.sampled_from(["user", "assistant", "system", "developer"])
IDS = st.sampled_from(["c1", "c2", "c3"])
GOOD = st.one_of(
    st.builds(lambda role, content: {"role": role, "content": content}, ROLES, PARTS | st.text()),
    st.builds(
        lambda call: {"type": "function_call", "call_id": call, "name": "f", "arguments": "{}"}, IDS
    ),
    st.builds(
        lambda call, output: {"type": "function_call_output", "call_id": call, "output": output},
        IDS,
        st.text() | PARTS,
    ),
    st.just({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}),
)


@given(st.lists(GOOD, min_size=1, max_size=10), st.integers(0, 10), st.booleans())
def test_accepted_requests_become_valid_chat_messages(
    items: list[dict[str, object]], cut: int, incomplete: bool
) -> None:
    ask, past = (
        read({"model": "m", "input": items[cut:]}),
        read({"model": "m", "input": items[:cut]}),
    )
    if ask is None or past is None:
        return
    for item in past.input:
        if incomplete and item["type"] == "function_call":
            item["status"] = "incomplete"
    groups = joined_groups(ask, Chain(items=past.input))
    called: set[object] = set()
    for group in groups:
        for message in write_messages(group.messages):
            assert message["role"] in {"system", "developer", "user", "assistant", "tool"}
            assert isinstance(message["content"], str | list | None)
            calls = message.get("tool_calls") or []
            assert isinstance(calls, list)
            called = {call["id"] for call in calls} if calls else called
            assert message["role"] != "tool" or message["tool_call_id"] in called
            assert message["content"] is not None or calls or "reasoning_content" in message
    assert all(isinstance(one.content, str) for one in summary_call(groups, "Briefly."))
