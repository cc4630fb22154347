"""Tests of reading refused fields from failures, in the words of known servers."""

from typing import Any

import pytest
from msgspec.structs import replace

from actors.providers.error_body import read_error
from actors.providers.formats.anthropic.decoder import ANTHROPIC
from actors.providers.formats.base import Format
from actors.providers.formats.openai_chat.decoder import OPENAI_CHAT
from actors.providers.formats.openai_responses.decoder import OPENAI_RESPONSES
from actors.providers.formats.refusals import Refusals
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure

HISTORY: list[dict[str, Any]] = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b", "reasoning_content": "hm"},
    {"role": "user", "content": "c"},
    {
        "role": "assistant",
        "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f"}}],
    },
]

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "strict": True, "parameters": {"type": "object"}},
    "defer_loading": True,
}


def call(**parameters: object) -> ModelCall:
    return ModelCall(upstream_model="m", messages=read_messages(HISTORY), parameters={**parameters})


def nested() -> ModelCall:
    """Return a call with fields of parts and calls that some servers don't have."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    made = {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    history: list[dict[str, Any]] = [
        {"role": "user", "content": [image, text]},
        {"role": "assistant", "tool_calls": [made | {"extra_content": {"google": {}}}]},
        {"role": "tool", "tool_call_id": "x", "content": "b"},
    ]
    return ModelCall(upstream_model="m", messages=read_messages(history))


def refusal(message: str, *, status: int = 400, **more: Any) -> UpstreamFailure:
    return UpstreamFailure(FailureKind.REJECTED, message, status=status, **more)


def from_body(body: bytes) -> UpstreamFailure:
    error = read_error(body)
    assert error is not None
    return refusal(error.message, status=422, param=error.param)


@pytest.mark.parametrize(
    ("format", "asked", "failure", "words"),
    [
        (
            OPENAI_CHAT,
            call(),
            refusal("Unrecognized request argument supplied: stream_options"),
            {"stream_options"},
        ),
        (
            OPENAI_CHAT,
            call(prompt_cache_key="k"),
            refusal("Unknown parameter: 'prompt_cache_key'.", param="prompt_cache_key"),
            {"prompt_cache_key"},
        ),
        (
            OPENAI_CHAT,
            call(),
            from_body(
                b'{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body",'
                b'"messages",2,"assistant","reasoning_content"],"msg":"Extra inputs are not '
                b'permitted","input":"hm"}]},"type":"invalid_request_error"}'
            ),
            {"reasoning_content"},
        ),
        (
            OPENAI_CHAT,
            call(min_p=0.1),
            from_body(
                b'{"detail":[{"type":"extra_forbidden","loc":["body","min_p"],'
                b'"msg":"Extra inputs are not permitted"}]}'
            ),
            {"min_p"},
        ),
        (
            OPENAI_CHAT,
            call(max_tokens=5),
            refusal(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                param="max_tokens",
                code="unsupported_parameter",
            ),
            {"max_tokens"},
        ),
        (
            OPENAI_CHAT,
            call(reasoning_effort="xhigh"),
            refusal(
                "Unsupported value: 'reasoning_effort' does not support 'xhigh' with this model.",
                param="reasoning_effort",
                code="unsupported_value",
            ),
            {"reasoning_effort=xhigh"},
        ),
        (
            OPENAI_CHAT,
            call(),
            refusal("messages[0].role: unknown variant `developer`, expected one of `system`"),
            {"developer"},
        ),
        (
            OPENAI_CHAT,
            call(user="u", store=True),
            refusal("property 'user' is unsupported", param="user"),
            {"user"},
        ),
        (
            OPENAI_RESPONSES,
            call(reasoning_effort="minimal"),
            refusal("Unsupported value: 'minimal'", param="reasoning.effort"),
            {"reasoning_effort=minimal"},
        ),
        (
            OPENAI_RESPONSES,
            call(prompt_cache_key="k"),
            refusal("Unknown parameter: 'prompt_cache_key'."),
            {"prompt_cache_key"},
        ),
        (
            ANTHROPIC,
            ModelCall(
                messages=read_messages([{"role": "user", "content": "a"}]),
                parameters={"context_management": {"edits": []}},
                foreign={"context_management": ()},
                client="anthropic",
                betas=("context-management-2025-06-27",),
            ),
            refusal("context_management: Extra inputs are not permitted"),
            {"context_management"},
        ),
        (
            OPENAI_CHAT,
            call(tools=[TOOL]),
            refusal("property 'tools.0.function.strict' is unsupported"),
            {"strict"},
        ),
        (
            ANTHROPIC,
            call(tools=[TOOL]),
            refusal("tools.0.custom.defer_loading: Extra inputs are not permitted"),
            {"defer_loading"},
        ),
        (
            ANTHROPIC,
            ModelCall(
                messages=read_messages([{"role": "user", "content": "a"}]),
                client="anthropic",
                betas=("new-2026-01-01", "other-2026-01-01"),
            ),
            refusal("Unexpected value(s) `new-2026-01-01` for the `anthropic-beta` header."),
            {"new-2026-01-01"},
        ),
        (
            OPENAI_CHAT,
            call(verbosity="low"),
            refusal("Unrecognized request argument supplied: verbosity"),
            {"verbosity=low"},
        ),
        (OPENAI_CHAT, call(seed=1), refusal("seed is not supported"), {"seed"}),
        (
            OPENAI_CHAT,
            nested(),
            refusal("messages.1.tool_calls.0.extra_content: Extra inputs are not permitted"),
            {"extra_content"},
        ),
        (
            OPENAI_CHAT,
            nested(),
            refusal("Unknown parameter: 'messages[0].content[1].cache_control'."),
            {"cache_control"},
        ),
        (
            ANTHROPIC,
            nested(),
            refusal("messages.0.content.1.cache_control: Extra inputs are not permitted"),
            {"cache_control"},
        ),
        (
            OPENAI_RESPONSES,
            nested(),
            refusal("Invalid value: 'original'.", param="input[0].content[0].detail"),
            {"detail"},
        ),
    ],
)
def test_refused_fields_are_read(
    format: Format, asked: ModelCall, failure: UpstreamFailure, words: set[str]
) -> None:
    assert format.refused_by(asked, failure) == words
    without = replace(asked, refused=frozenset(words))
    assert not format.refused_by(without, failure) & words
    sent = format.build(without, None).body.decode()
    for word in words:
        field, _, value = word.partition("=")
        assert (f'"{field}":"{value}"' if value else f'"{field}":') not in sent


@pytest.mark.parametrize(
    "failure",
    [
        refusal("This model's maximum context length is 8 tokens. Reduce max_tokens."),
        refusal("max_tokens is too large: 5. At most 4 completion tokens are possible."),
        refusal("Conversation roles must alternate user/assistant/user."),
        refusal("Invalid value for temperature", param="temperature"),
        refusal("tools is not supported", param="tools"),
        refusal("tools[0].function.name: invalid", param="tools[0].function.name"),
        refusal("Invalid schema for response_format"),
        refusal("messages: at least one message is required", param="messages"),
        refusal("Unknown parameter: 'stream_options'.", status=401),
        refusal("Unknown parameter: 'stream_options'.", status=429),
        UpstreamFailure(FailureKind.SERVER_ERROR, "stream_options", status=500),
        UpstreamFailure(FailureKind.REFUSED, "stream_options"),
        refusal("The seed of the matter"),
        refusal("The user is not allowed to do this"),
        refusal("An assistant message with 'tool_calls' must be followed by tool messages."),
        refusal("messages.0.content.0.text: must not be empty"),
        refusal("messages[4].tool_calls[0].id: unexpected", param="messages[4].tool_calls[0].id"),
    ],
)
def test_other_failures_name_no_field(failure: UpstreamFailure) -> None:
    asked = call(max_tokens=5, user="u", temperature=2, seed=1, tools=[{"type": "x"}])
    assert OPENAI_CHAT.refused_by(asked, failure) == frozenset()


@pytest.mark.parametrize(
    "message",
    ["messages.0.content: must not be empty", "max_tokens: must be at most 5", "role: no"],
)
def test_anthropic_request_keeps_what_it_needs(message: str) -> None:
    asked = ModelCall(messages=read_messages([{"role": "user", "content": "a"}]))
    assert ANTHROPIC.refused_by(asked, refusal(message)) == frozenset()


def test_strict_call_does_without_fields_that_its_client_did_not_send() -> None:
    asked = ModelCall(
        messages=read_messages([{"role": "user", "content": "a"}]),
        parameters={"verbosity": "low"},
        strict=True,
    )
    ours = refusal("Unknown parameter: 'stream_options'.")
    assert OPENAI_CHAT.refused_by(asked, ours) == {"stream_options"}
    theirs = refusal("Unknown parameter: 'verbosity'.")
    assert OPENAI_CHAT.refused_by(asked, theirs) == frozenset()


def test_refusals_of_a_model_are_remembered_for_it_alone() -> None:
    refusals = Refusals(frozenset({"developer"}))
    refusals.learn("a", frozenset({"seed"}))
    refusals.learn("a", frozenset({"user"}))
    assert refusals.of("a") == {"developer", "seed", "user"}
    assert refusals.of("b") == {"developer"}


def test_memory_of_refusals_is_bounded() -> None:
    refusals = Refusals(frozenset())
    for number in range(3000):
        refusals.learn(f"m{number}", frozenset({"seed"}))
        refusals.learn("same", frozenset({f"x{number}"}))
    assert sum(bool(refusals.of(f"m{number}")) for number in range(3000)) < 1000
    assert len(refusals.of("same")) <= 100
