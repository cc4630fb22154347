"""What a call needs, and which routes lack it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.base import JSON, Capabilities, ModelCall
from actors.routing.needs import MARGIN, Needs, lacking, needs_of

ALL = Capabilities()
PLAIN = Capabilities(images=False, tools=False, reasoning=False)
IMAGE = {"type": "image_url", "image_url": {"url": "https://images.example/cat.png"}}
TEXT = {"type": "text", "text": "What is this?"}
TOOL = {"type": "function", "function": {"name": "clock"}}


def call(*messages: dict[str, JSON], **parameters: JSON) -> ModelCall:
    said = list(messages) or [{"role": "user", "content": "Hi"}]
    return ModelCall(upstream_model="m", messages=said, parameters=parameters)


def test_text_needs_nothing_but_room() -> None:
    assert needs_of(call(temperature=0.5), 12) == Needs(context_tokens=12)


def test_an_image_anywhere_needs_images() -> None:
    shown: dict[str, JSON] = {"role": "user", "content": [TEXT, IMAGE]}
    assert needs_of(call(shown, {"role": "user", "content": "And?"}), 0) == Needs(images=True)


@pytest.mark.parametrize("content", [None, "image_url", [], [TEXT], [{"type": "refusal"}], [None]])
def test_no_image_needs_no_images(content: JSON) -> None:
    assert not needs_of(call({"role": "user", "content": content}), 0).images


@pytest.mark.parametrize("name", ["tools", "functions"])
def test_offered_tools_need_tools(name: str) -> None:
    assert needs_of(call(**{name: [TOOL]}), 0) == Needs(tools=True)
    assert needs_of(call(**{name: []}), 0) == Needs()
    assert needs_of(call(**{name: None}), 0) == Needs()


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
def test_calls_in_the_conversation_need_tools(message: dict[str, JSON], tools: bool) -> None:
    assert needs_of(call(message), 0).tools is tools


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
def test_only_reasoning_that_is_asked_for_is_needed(
    parameters: dict[str, JSON], reasoning: bool
) -> None:
    assert needs_of(call(**parameters), 0).reasoning is reasoning


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
def test_the_longest_answer_needs_room_too(parameters: dict[str, JSON], tokens: int) -> None:
    assert needs_of(call(**parameters), 100).context_tokens == tokens


@pytest.mark.parametrize(
    ("needs", "lack"),
    [
        (Needs(), None),
        (Needs(images=True), "no_images"),
        (Needs(tools=True), "no_tools"),
        (Needs(reasoning=True), "no_reasoning"),
        (Needs(images=True, tools=True, reasoning=True), "no_images"),
    ],
)
def test_what_is_lacking_has_a_name(needs: Needs, lack: str | None) -> None:
    assert lacking(needs, PLAIN) == lack
    assert lacking(needs, ALL) is None


def test_an_unknown_window_is_never_too_small() -> None:
    assert lacking(Needs(context_tokens=10**30), ALL) is None


def test_an_estimate_must_exceed_the_window_by_half() -> None:
    window = Capabilities(context_window=1000)
    assert MARGIN == 1.5
    assert lacking(Needs(context_tokens=1500), window) is None
    assert lacking(Needs(context_tokens=1501), window) == "context_window"
    assert lacking(Needs(context_tokens=10**400), window) == "context_window"


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
def test_nothing_that_a_client_sends_is_a_crash(
    messages: list[dict[str, JSON]], parameters: dict[str, JSON]
) -> None:
    asked = ModelCall(upstream_model="m", messages=messages, parameters=parameters)
    needs = needs_of(asked, 7)
    assert needs.context_tokens >= 7
    assert lacking(needs, ALL) is None
