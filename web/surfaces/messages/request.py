"""Validates a Messages request and turns it into a model call.

The parameters get their names in Chat Completions, like those of every `ModelCall`. Those that only
Anthropic's API has keep their own for routes that speak that API (`ModelCall.foreign`).

Tools with their own schema become functions. Those whose schema only Anthropic's models know, and
those that the provider runs, are for routes that speak that API.

Source: Anthropic's API reference, "Create a message", and its pages "Extended thinking", "Adaptive
thinking" and "Effort".
"""

import re
from typing import Annotated, Literal

from msgspec.structs import replace
from pydantic import ConfigDict, Field

from actors.providers.formats.native_content import is_anthropic_tool
from actors.turn.chat_messages import THINKING_API
from actors.turn.messages import JSON
from actors.turn.model_call import CHAT_PARAMETERS, ModelCall
from web.surfaces.messages.blocks import Block
from web.surfaces.messages.conversation import read_conversation
from web.surfaces.validation import (
    LONGEST_NAME,
    Body,
    FailFastList,
    Fields,
    Messages,
    Object,
    Parameters,
    missing,
    wrong,
)
from web.turns.media_needs import MediaNeeds
from web.turns.planner import ModelRequest

_BETA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_BETAS = 100
_LONGEST_USER = 64
"""Maximum characters of a chat's `user`; OpenAI rejects longer values."""
_SHARED = CHAT_PARAMETERS | {"top_k"}
"""Parameters that other APIs know too; all others are sent only to Anthropic's."""
_BUDGETS = {"high": 16_384, "medium": 8_192}
"""Least `budget_tokens` of each effort, highest first; a smaller budget is `low`."""
_ADAPTIVE_EFFORT = "medium"
"""Effort for `adaptive` thinking, in which the model decides; the middle of a chat's efforts."""
_CONFIG = frozenset({"effort", "format"})
"""Fields of `output_config` with an equivalent in a chat."""
_TOOL_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


class _Thinking(Parameters):
    """The `thinking` parameter; its other fields are sent only to Anthropic's API."""

    type: str
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None


class _OutputConfig(Parameters):
    """The `output_config` parameter."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: dict[str, JSON] | None = None


class _Metadata(Parameters):
    model_config = ConfigDict(extra="forbid")

    user_id: str | None = None


class _CountBody(Body):
    """The body of a `count_tokens` request, in which `max_tokens` is optional."""

    messages: Messages
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stream: bool | None = None
    strict: bool | None = None
    stop_sequences: FailFastList[str] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    metadata: _Metadata | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    tools: list[JSON] | None = None
    tool_choice: dict[str, JSON] | None = None


class _MessageBody(_CountBody):
    """The body of a request for an answer."""

    max_tokens: Annotated[int, Field(ge=1)]


_SAME = frozenset({"temperature", "top_p", "top_k", "thinking", "output_config"})
_CONVERTED = (_CountBody.model_fields.keys() | {"system"}) - _SAME
"""Parameters that are converted; all others are passed on unchanged."""


def read_messages_request(raw: Object, betas: tuple[str, ...] = ()) -> ModelRequest:
    """Validate a request for an answer; raises `ApiError` (400).

    `betas` are those of the header `anthropic-beta`, which routes to Anthropic's API get too.
    """
    request = _request(raw, _MessageBody.read(raw))
    return replace(request, call=replace(request.call, betas=betas))


def read_betas(header: str) -> tuple[str, ...]:
    """Return the values of `anthropic-beta` headers, joined by commas; skip invalid ones."""
    names = [name.strip() for name in header.split(",")[:_MOST_BETAS]]
    return tuple(dict.fromkeys(name for name in names if _BETA.fullmatch(name)))


def read_count_request(raw: Object) -> ModelRequest:
    """Validate a `count_tokens` request; raises `ApiError` (400)."""
    return _request(raw, _CountBody.read(raw))


def _request(raw: Object, body: _CountBody) -> ModelRequest:
    fields = Block(raw, "", set())
    messages = read_conversation(fields, body.messages)
    parameters = _parameters(fields, body)
    foreign = {
        name: _chat_equivalents(name, raw.get(name)) for name in sorted(fields.vendor_fields)
    }
    return ModelRequest(
        model=body.model,
        call=ModelCall(
            messages=messages, parameters=parameters, foreign=foreign, client=THINKING_API
        ),
        stream=bool(body.stream),
        strict=bool(body.strict),
        only_api=THINKING_API if _forces_server_tool(parameters) else None,
        media=MediaNeeds.of(fields.media, f"messages[{len(body.messages) - 1}]."),
    )


def _parameters(fields: Block, body: _CountBody) -> Object:
    parameters = {
        name: value
        for name, value in fields.values.items()
        if name not in _CONVERTED and value is not None
    }
    fields.vendor_fields.update(parameters.keys() - _SHARED)
    converted: Object = {
        "max_tokens": body.max_tokens,
        "stop": body.stop_sequences,
        "service_tier": "default" if body.service_tier == "standard_only" else None,
        "reasoning_effort": _effort_of(body.thinking, body.output_config),
        "response_format": _format_of(body.output_config),
        **_user(body.metadata, fields.vendor_fields),
    }
    if body.tools is not None:
        converted["tools"] = [_chat_tool(tool) for tool in fields.objects("tools")]
    if body.tool_choice is not None:
        converted |= _chat_choice(fields.object("tool_choice"))
    return parameters | {name: value for name, value in converted.items() if value is not None}


def _user(metadata: _Metadata | None, vendor_fields: set[str]) -> Object:
    """Return the chat's `user`, or the unchanged `metadata` if the id is too long for it."""
    user = None if metadata is None else metadata.user_id
    if user is None or len(user) <= _LONGEST_USER:
        return {"user": user}
    vendor_fields.add("metadata")
    return {"metadata": {"user_id": user}}


def _effort_of(thinking: _Thinking | None, config: _OutputConfig | None) -> str | None:
    """Return the chat's `reasoning_effort`, or None if none is given; raises `ApiError` (400)."""
    kind = None if thinking is None else thinking.type
    if kind == "disabled":
        return "none"
    if thinking is not None and kind == "enabled" and thinking.budget_tokens is None:
        raise missing("thinking.budget_tokens")
    if config is not None and config.effort is not None:
        return "xhigh" if config.effort == "max" else config.effort
    if thinking is None or kind not in ("enabled", "adaptive"):
        return None
    budget = thinking.budget_tokens
    if kind == "adaptive" or budget is None:
        return _ADAPTIVE_EFFORT
    return next((effort for effort, least in _BUDGETS.items() if budget >= least), "low")


def _format_of(config: _OutputConfig | None) -> JSON:
    """Return the chat's `response_format`, or None if none is given; raises `ApiError` (400)."""
    if config is None or config.format is None:
        return None
    match config.format:
        case {"type": "json_schema", "schema": dict(schema)}:
            return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        case _:
            raise wrong("output_config.format", "must have the type json_schema and a schema.")


def _chat_equivalents(name: str, value: JSON) -> tuple[str, ...]:
    """Return the chat parameters that fully express the parameter `name`.

    Empty if the value says more than a chat can.
    """
    if name == "thinking":
        known = isinstance(value, dict) and value.get("type") != "between_tools"
        return ("reasoning_effort",) if known else ()
    if name == "output_config" and isinstance(value, dict) and value.keys() <= _CONFIG:
        return ("reasoning_effort", "response_format")
    return ()


def _chat_tool(tool: Block) -> Object:
    """Return the tool in the form of a chat; raises `ApiError` (400)."""
    if is_anthropic_tool(tool.values):
        return tool.values
    name, kind = tool.text("name", longest=LONGEST_NAME), tool.values.get("type")
    if kind not in (None, "custom"):
        words = "unknown type of tool. Send an input_schema and no type."
        raise wrong(tool.at("type"), words, "unsupported_tool")
    function: Object = {
        "name": name,
        "parameters": tool.object("input_schema").values,
        "description": tool.optional("description", str, "a string"),
        "strict": tool.one_of("strict", (True, False)),
    }
    given = {field: value for field, value in function.items() if value is not None}
    extras = tool.extras("type", "name", "description", "input_schema", "strict")
    return {"type": "function", "function": given, **extras}


def _forces_server_tool(parameters: Object) -> bool:
    """Return whether the model must call a tool that only Anthropic's API has."""
    given, choice = parameters.get("tools"), parameters.get("tool_choice")
    tools = given if isinstance(given, list) else []
    own = [tool for tool in tools if is_anthropic_tool(tool)]
    match choice:
        case "required":
            return bool(own) and len(own) == len(tools)
        case {"function": {"name": name}}:
            return any(tool.get("name") == name for tool in own)
        case _:
            return False


def _chat_choice(choice: Fields) -> Object:
    """Return `tool_choice` and `parallel_tool_calls` of a chat; raises `ApiError` (400)."""
    parameters: Object = {}
    match choice.values.get("type"):
        case "tool":
            function = {"name": choice.text("name")}
            parameters["tool_choice"] = {"type": "function", "function": function}
        case str(kind) if kind in _TOOL_CHOICES:
            parameters["tool_choice"] = _TOOL_CHOICES[kind]
        case _:
            raise choice.wrong("type", f"must be one of {', '.join(_TOOL_CHOICES)}, tool.")
    if choice.one_of("disable_parallel_tool_use", (True, False)):
        parameters["parallel_tool_calls"] = False
    return parameters
