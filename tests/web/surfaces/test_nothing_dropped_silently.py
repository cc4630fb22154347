"""Every field of a request reaches the provider, is named in a warning, or refuses the request.

The test draws requests over all known fields of a surface, and for each field compares what a
format sends with and without it. A field that makes no difference must be named.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import cycle
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from trio.testing import MockClock

from actors.providers.formats.base import FormatSpec
from actors.turn.chunks import WarningChunk
from actors.turn.model_call import ModelCall
from tests.support.conversations import PATHS, request_of
from tests.support.edge_harness import EdgeHarness, open_harness
from tests.support.turn_fakes import ScriptedProvider, stop, text
from web import registry

FORMATS = {spec.name: spec for spec in registry.load(registry.FORMATS, FormatSpec)}
SERVERS = {
    "openai-chat": ("https://api.openai.com/v1", "https://other.example/v1"),
    "anthropic": ("",),
    "gemini": ("",),
    "ollama": ("",),
    "openai-responses": ("",),
}
MODELS = ("m", "gpt-4.1", "gpt-5.2", "claude-sonnet-4-5", "claude-opus-4-8", "gemini-2.5-pro")

Path = tuple[str | int, ...]
Fields = Mapping[Path, object]
SCHEMA = {"type": "object", "properties": {"q": {"type": "string", "minLength": 2}}}
PICTURE = "data:image/png;base64,AAAA"
MARK = {"type": "ephemeral"}
EXTRAS: dict[str, object] = {
    "client_metadata": {"session_id": "s"},
    "min_p": 0.1,
    "top_k": 3,
    "chat_template_kwargs": {"enable_thinking": False},
    "keep_alive": "5m",
    "odd": [1],
}
"""Top-level fields that none of the three APIs, or not each of them, has."""


def function(**more: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": "f", "parameters": SCHEMA, **more}}


CHAT: Fields = {
    ("frequency_penalty",): 0.5,
    ("presence_penalty",): 0.5,
    ("temperature",): 0.3,
    ("top_p",): 0.4,
    ("seed",): 7,
    ("stop",): ["END"],
    ("max_tokens",): 2000,
    ("logit_bias",): {"5": 1},
    ("logprobs",): True,
    ("top_logprobs",): 2,
    ("parallel_tool_calls",): False,
    ("reasoning_effort",): "high",
    ("response_format",): {"type": "json_schema", "json_schema": {"name": "r", "schema": SCHEMA}},
    ("metadata",): {"a": "b"},
    ("user",): "u",
    ("safety_identifier",): "s",
    ("prompt_cache_key",): "k",
    ("prompt_cache_retention",): "24h",
    ("prompt_cache_options",): {"mode": "explicit"},
    ("service_tier",): "flex",
    ("verbosity",): "low",
    ("modalities",): ["text", "audio"],
    ("audio",): {"voice": "alloy", "format": "wav"},
    ("prediction",): {"type": "content", "content": "x"},
    ("web_search_options",): {"search_context_size": "low"},
    ("moderation",): {"model": "x"},
    ("functions",): [{"name": "g"}],
    ("function_call",): {"name": "g"},
    ("thinking",): {"type": "enabled", "budget_tokens": 2000},
    ("options",): {"num_ctx": 8},
    ("safetySettings",): [{"category": "x"}],
    ("tool_choice",): {"type": "function", "function": {"name": "f"}},
    ("tools", 0, "function", "description"): "d",
    ("tools", 0, "function", "strict"): True,
    ("tools", 0, "cache_control"): MARK,
    ("tools", 0, "defer_loading"): True,
    ("tools", 0, "odd"): "x",
    ("messages", 0, "name"): "n",
    ("messages", 1, "name"): "n",
    ("messages", 1, "cache_control"): MARK,
    ("messages", 1, "content", 0, "cache_control"): MARK,
    ("messages", 1, "content", 1, "image_url", "detail"): "low",
    ("messages", 2, "refusal"): "no",
    ("messages", 2, "reasoning_content"): "hm",
    ("messages", 3, "is_error"): True,
    ("messages", 5, "odd"): "x",
    **{(name,): value for name, value in EXTRAS.items()},
}
CHAT_BODY = {
    "tools": [function()],
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image_url", "image_url": {"url": PICTURE}},
            ],
        },
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{"id": "c", **function(arguments="{}")}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "found"},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "So?"},
    ],
}

MESSAGES: Fields = {
    ("temperature",): 0.3,
    ("top_p",): 0.4,
    ("top_k",): 3,
    ("stop_sequences",): ["END"],
    ("metadata",): {"user_id": "u"},
    ("thinking",): {"type": "enabled", "budget_tokens": 2000},
    ("output_config",): {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
    ("context_management",): {"edits": [{"type": "clear_tool_uses_20250919"}]},
    ("cache_control",): MARK,
    ("inference_geo",): "eu",
    ("container",): "container_1",
    ("mcp_servers",): [{"type": "url", "name": "m", "url": "https://x.example"}],
    ("tools", 0, "allowed_callers"): ["direct"],
    ("speed",): "fast",
    ("system",): "Be brief.",
    ("tool_choice",): {"type": "tool", "name": "f"},
    ("tools", 0, "description"): "d",
    ("tools", 0, "strict"): True,
    ("tools", 0, "cache_control"): MARK,
    ("tools", 0, "defer_loading"): True,
    ("messages", 0, "content", 0, "cache_control"): MARK,
    ("messages", 0, "odd"): "x",
    ("messages", 2, "content", 0, "is_error"): True,
    ("messages", 2, "content", 0, "cache_control"): MARK,
    **{(name,): value for name, value in EXTRAS.items()},
}
MESSAGES_BODY = {
    "max_tokens": 5000,
    "tools": [{"name": "f", "input_schema": SCHEMA}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c", "content": "found"}],
        },
    ],
}

RESPONSES: Fields = {
    ("temperature",): 0.3,
    ("top_p",): 0.4,
    ("max_output_tokens",): 2000,
    ("parallel_tool_calls",): False,
    ("reasoning",): {"effort": "high"},
    ("text",): {"format": {"type": "json_schema", "name": "r", "schema": SCHEMA}},
    ("user",): "u",
    ("safety_identifier",): "s",
    ("prompt_cache_key",): "k",
    ("prompt_cache_retention",): "24h",
    ("top_logprobs",): 2,
    ("instructions",): "Be brief.",
    ("include",): ["web_search_call.action.sources"],
    ("max_tool_calls",): 3,
    ("service_tier",): "flex",
    ("tool_choice",): {"type": "function", "name": "f"},
    ("tools", 0, "description"): "d",
    ("tools", 0, "strict"): True,
    **{(name,): value for name, value in EXTRAS.items()},
}
RESPONSES_BODY = {
    "tools": [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}],
    "input": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "found"},
    ],
}

SURFACES: dict[str, tuple[str, dict[str, Any], Fields]] = {
    "chat": ("/v1/chat/completions", CHAT_BODY, CHAT),
    "messages": ("/v1/messages", MESSAGES_BODY, MESSAGES),
    "responses": ("/v1/responses", RESPONSES_BODY, RESPONSES),
}
RESTATED: dict[Path, Path] = {("thinking",): ("output_config",)}
"""Fields of which another one says the same, with precedence."""
IN_CHAT = {
    "stop_sequences": "stop",
    "metadata": "user",
    "output_config": "response_format",
    "reasoning": "reasoning_effort",
    "text": "response_format",
    "max_output_tokens": "max_completion_tokens",
}
"""Names that warnings use for fields whose names aren't those of a chat."""


def with_fields(body: dict[str, Any], fields: Fields) -> dict[str, Any]:
    """Return the body with the fields."""
    made = deepcopy(body)
    for (*outer, name), value in fields.items():
        place: Any = made
        for step in outer:
            place = place[step]
        place[name] = value
    return made


def sent(spec: FormatSpec, server: str, model: str, call: ModelCall) -> tuple[Any, set[str]]:
    """Return the body and headers of the request, and the names of all that it leaves out."""
    asked = replace(call, upstream_model=model, refused=spec.refused_by(server))
    parts = spec.format.build(asked, None)
    assert parts.ignored == spec.format.unsupported(asked)
    named = {path.split(".")[-1] for path in parts.ignored} | {
        path.split(".")[0].split("[")[0] for path in parts.ignored if "messages" not in path
    }
    return (msgspec.json.decode(parts.body), parts.headers), named


def silent(
    surface: str, model: str, fields: Fields, calls: dict[Path | None, ModelCall], warned: str
) -> Iterator[str]:
    """Yield each field that neither makes a difference nor is named, with the format."""
    for name, servers in SERVERS.items():
        for server in servers:
            spec = FORMATS[name]
            whole, named = sent(spec, server, model, calls[None])
            for path in fields:
                leaf = str(path[-1])
                if IN_CHAT.get(leaf, leaf) in named or leaf in named or leaf in warned:
                    continue
                if sent(spec, server, model, calls[path])[0] == whole:
                    yield f"{surface} to {name} {server}: {path}"


async def calls_of(
    harness: EdgeHarness, provider: ScriptedProvider, path: str, body: dict[str, Any]
) -> tuple[ModelCall, str] | None:
    """Return the model call of a request and its warnings; None if the request is refused."""
    response = await harness.post(path, json={"model": "large", "stream": True, **body})
    if response.status_code == 400:
        error = response.json()["error"]
        assert error.get("param") or ": " in error["message"], error
        return None
    assert response.status_code == 200, response.text
    comments = [line for line in response.text.splitlines() if line.startswith(":")]
    return provider.calls[-1][0], "\n".join(comments)


@pytest.mark.parametrize("surface", SURFACES)
async def test_fields_are_sent_or_named(surface: str) -> None:
    path, body, known = SURFACES[surface]
    provider = ScriptedProvider(text("ok"), stop())
    async with open_harness(provider) as harness:

        def call_with(fields: Fields) -> tuple[ModelCall, str] | None:
            made = with_fields(body, fields)
            return trio.from_thread.run(calls_of, harness, provider, path, made)

        def check(fields: Fields, model: str) -> None:
            if (read := call_with(fields)) is None:
                return
            calls: dict[Path | None, ModelCall] = {None: read[0]}
            for one in fields:
                less = call_with({other: fields[other] for other in fields if other != one})
                assert less is not None, f"only refused without {one}"
                calls[one] = less[0]
            assert list(silent(surface, model, fields, calls, read[1])) == []

        def check_alone() -> None:
            for one, model in zip(known, cycle(MODELS), strict=False):
                check({one: known[one]}, model)

        @given(
            st.lists(st.sampled_from(sorted(known, key=str)), unique=True, max_size=5),
            st.sampled_from(MODELS),
        )
        def check_together(chosen: list[Path], model: str) -> None:
            hidden = {one for one, by in RESTATED.items() if by in chosen}
            check({one: known[one] for one in chosen if one not in hidden}, model)

        await trio.to_thread.run_sync(check_alone)
        await trio.to_thread.run_sync(check_together)


@pytest.mark.parametrize("surface", PATHS)
async def test_answer_that_is_not_streamed_has_its_warnings(
    surface: str, autojump_clock: MockClock
) -> None:
    warning = WarningChunk("finish_reason_unknown", "odd")
    for said, expected in (
        ([warning], [{"code": "finish_reason_unknown", "message": "odd"}]),
        ([], None),
    ):
        provider = ScriptedProvider(text("Hi"), [*said], stop())
        async with open_harness(provider) as harness:
            response = await harness.post(f"/v1/{PATHS[surface]}", json=request_of(surface))
        assert response.json().get("warnings") == expected
