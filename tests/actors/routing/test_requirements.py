"""Tests of the requirements of a call and the capabilities that routes lack."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.routing.requirements import MARGIN, Requirements, missing_capability, requirements_of
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import JSON, Capabilities, ModelCall

ALL = Capabilities()
PLAIN = Capabilities(images=False, tools=False, reasoning=False)
IMAGE = {"type": "image_url", "image_url": {"url": "https://images.example/cat.png"}}
TEXT = {"type": "text", "text": "What is this?"}
TOOL = {"type": "function", "function": {"name": "clock"}}


def call(*messages: dict[str, JSON], **parameters: JSON) -> ModelCall:
    content = list(messages) or [{"role": "user", "content": "Hi"}]
    return ModelCall(upstream_model="m", messages=read_messages(content), parameters=parameters)


def test_text_requires_only_context_tokens() -> None:
    assert requirements_of(call(temperature=0.5), 12) == Requirements(context_tokens=12)


def test_image_in_any_message_requires_images() -> None:
    shown: dict[str, JSON] = {"role": "user", "content": [TEXT, IMAGE]}
    assert requirements_of(call(shown, {"role": "user", "content": "And?"}), 0) == Requirements(
        images=True
    )


@pytest.mark.parametrize("content", [None, "image_url", [], [TEXT], [{"type": "refusal"}], [None]])
def test_content_without_image_does_not_require_images(content: JSON) -> None:
    assert not requirements_of(call({"role": "user", "content": content}), 0).images


@pytest.mark.parametrize("name", ["tools", "functions"])
def test_offered_tools_require_tools(name: str) -> None:
    assert requirements_of(call(**{name: [TOOL]}), 0) == Requirements(tools=True)
    assert requirements_of(call(**{name: []}), 0) == Requirements()
    assert requirements_of(call(**{name: None}), 0) == Requirements()


@pytest.mark.parametrize(
    ("message", "tools"),
    [
        ({"role": "assistant", "tool_calls": [{"id": "1"}]}, True),
        ({"role": "tool", "tool_call_id": "1", "content": "noon"}, True),
        ({"role": "function", "name": "clock", "content": "noon"}, True),
        ({"role": "assistant", "content": "Hi", "tool_calls": []}, False),
        ({"role": "assistant", "content": "Hi", "tool_calls": None}, False),
    ],
)
def test_tool_calls_in_the_history_require_tools(message: dict[str, JSON], tools: bool) -> None:
    assert requirements_of(call(message), 0).tools is tools


@pytest.mark.parametrize(
    ("parameters", "reasoning"),
    [
        ({"reasoning_effort": "high"}, True),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": None}, False),
        ({"reasoning_effort": 3}, False),
        ({"reasoning": {"effort": "low"}}, True),
        ({"reasoning": {"effort": "none"}}, False),
        ({"reasoning": {"summary": "auto"}}, False),
        ({"reasoning": "high"}, False),
    ],
)
def test_only_an_explicit_reasoning_effort_requires_reasoning(
    parameters: dict[str, JSON], reasoning: bool
) -> None:
    assert requirements_of(call(**parameters), 0).reasoning is reasoning


@pytest.mark.parametrize(
    ("parameters", "tokens"),
    [
        ({}, 100),
        ({"max_tokens": 50}, 150),
        ({"max_completion_tokens": 20, "max_tokens": 50}, 120),
        ({"max_completion_tokens": None, "max_tokens": 50}, 150),
        ({"max_tokens": -5}, 100),
        ({"max_tokens": True}, 100),
        ({"max_tokens": "50"}, 100),
        ({"max_tokens": 1e3}, 100),
        ({"max_tokens": 10**30}, 100 + 10**30),
    ],
)
def test_context_tokens_include_the_maximum_answer(
    parameters: dict[str, JSON], tokens: int
) -> None:
    assert requirements_of(call(**parameters), 100).context_tokens == tokens


@pytest.mark.parametrize(
    ("needs", "lack"),
    [
        (Requirements(), None),
        (Requirements(images=True), "no_images"),
        (Requirements(tools=True), "no_tools"),
        (Requirements(reasoning=True), "no_reasoning"),
        (Requirements(images=True, tools=True, reasoning=True), "no_images"),
    ],
)
def test_missing_capability_is_named(needs: Requirements, lack: str | None) -> None:
    assert missing_capability(needs, PLAIN) == lack
    assert missing_capability(needs, ALL) is None


def test_unknown_context_window_is_never_too_small() -> None:
    assert missing_capability(Requirements(context_tokens=10**30), ALL) is None


def test_an_estimate_must_exceed_the_window_by_half() -> None:
    window = Capabilities(context_window=1000)
    assert MARGIN == 1.5
    assert missing_capability(Requirements(context_tokens=1500), window) is None
    assert missing_capability(Requirements(context_tokens=1501), window) == "context_window"
    assert missing_capability(Requirements(context_tokens=10**400), window) == "context_window"


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "effort", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(
    ["tools", "functions", "reasoning", "reasoning_effort", "max_tokens", "max_completion_tokens"]
)
keys = st.sampled_from(["role", "content", "tool_calls"])


@given(
    st.lists(st.dictionaries(keys, json, max_size=3), max_size=3),
    st.dictionaries(names, json, max_size=4),
)
def test_arbitrary_client_input_does_not_crash(
    messages: list[dict[str, JSON]], parameters: dict[str, JSON]
) -> None:
    arbitrary = ModelCall(
        upstream_model="m", messages=read_messages(messages), parameters=parameters
    )
    needs = requirements_of(arbitrary, 7)
    assert needs.context_tokens >= 7
    assert missing_capability(needs, ALL) is None
