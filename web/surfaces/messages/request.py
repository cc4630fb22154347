"""Validates a Messages request and turns it into a model call.

The call is in the Chat Completions form, like every `ModelCall`. Fields that only Anthropic's API
has stay in it under their own names for routes that speak that API (`ModelCall.foreign`). Errors
name the path of the invalid field.
"""

from typing import Annotated, Literal, TypeVar

import msgspec
import trio
from pydantic import BaseModel, ConfigDict, Field

from actors.turn.chat_messages import read_messages
from actors.turn.model_call import JSON, ModelCall
from web.http.api_error import invalid
from web.http.json_body import read_json
from web.http.validation_errors import validated
from web.surfaces.chat_completions.request import MAX_MESSAGES
from web.surfaces.messages.conversation import converted_messages
from web.surfaces.messages.thinking import (
    OutputConfig,
    Thinking,
    chat_equivalents,
    effort_of,
    format_of,
)
from web.surfaces.messages.tools import chat_choice, chat_tools

T = TypeVar("T")

_FailFastList = Annotated[list[T], Field(fail_fast=True)]

_MAX_NAME_LENGTH = 512
_LONGEST_USER = 64
"""Maximum characters of a chat's `user`; OpenAI rejects longer values."""
_UNSUPPORTED = {
    "container": "containers are not supported. Remove the field.",
    "mcp_servers": "MCP servers are not supported. Connect to them from the client.",
}
"""Parameters that are rejected, with the reason."""
_VENDOR_PARAMETERS = frozenset(
    {
        "cache_control",
        "context_management",
        "diagnostics",
        "inference_geo",
        "output_config",
        "output_format",
        "speed",
        "thinking",
        "user_profile_id",
    }
)
"""Parameters without an equivalent name in Chat Completions."""
_CONVERTED = frozenset(
    {
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "service_tier",
        "stop_sequences",
        "stream",
        "strict",
        "system",
        "tool_choice",
        "tools",
    }
)
"""Parameters that are converted; all others are passed on unchanged."""


class MessagesRequest(msgspec.Struct, frozen=True):
    """A valid request: the model call and the options of the answer."""

    model: str
    call: ModelCall
    stream: bool
    strict: bool
    """Extension: a parameter that a route does not support is an error, not a warning."""


class _Fields(BaseModel):
    """A model that ignores unknown fields, which are passed on unchanged."""

    model_config = ConfigDict(strict=True, frozen=True)


class _Metadata(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    user_id: str | None = None


class _CountBody(_Fields):
    """The body of a `count_tokens` request, in which `max_tokens` is optional."""

    model: Annotated[str, Field(min_length=1, max_length=_MAX_NAME_LENGTH)]
    messages: Annotated[list[JSON], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stream: bool | None = None
    strict: bool | None = None
    stop_sequences: _FailFastList[str] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    metadata: _Metadata | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    tools: list[JSON] | None = None
    tool_choice: dict[str, JSON] | None = None


class _MessageBody(_CountBody):
    """The body of a request for an answer."""

    max_tokens: Annotated[int, Field(ge=1)]


async def receive_messages_request(body: bytes, threads: trio.CapacityLimiter) -> MessagesRequest:
    """Parse and validate `body`, in one of `threads` if it is large; raises `ApiError` (400)."""
    return await read_json(body, read_messages_request, threads)


async def receive_count_request(body: bytes, threads: trio.CapacityLimiter) -> MessagesRequest:
    """Parse and validate the body of a `count_tokens` request; raises `ApiError` (400)."""
    return await read_json(body, read_count_request, threads)


def read_messages_request(raw: dict[str, JSON]) -> MessagesRequest:
    """Validate a request for an answer; raises `ApiError` (400)."""
    return _request(raw, _MessageBody)


def read_count_request(raw: dict[str, JSON]) -> MessagesRequest:
    """Validate a `count_tokens` request; raises `ApiError` (400)."""
    return _request(raw, _CountBody)


def _request(raw: dict[str, JSON], shape: type[_CountBody]) -> MessagesRequest:
    checked = validated(shape, raw)
    for name, words in _UNSUPPORTED.items():
        if raw.get(name) is not None:
            raise invalid(f"{name}: {words}", param=name, code="unsupported_parameter")
    vendor_fields: set[str] = set()
    messages = converted_messages(raw.get("system"), checked.messages, vendor_fields)
    parameters = _parameters(raw, checked, vendor_fields)
    return MessagesRequest(
        model=checked.model,
        call=ModelCall(
            upstream_model="",
            messages=read_messages(messages),
            parameters=parameters,
            foreign={name: chat_equivalents(name, raw.get(name)) for name in sorted(vendor_fields)},
        ),
        stream=bool(checked.stream),
        strict=bool(checked.strict),
    )


def _parameters(
    raw: dict[str, JSON], checked: _CountBody, vendor_fields: set[str]
) -> dict[str, JSON]:
    parameters = {name: v for name, v in raw.items() if name not in _CONVERTED and v is not None}
    vendor_fields.update(_VENDOR_PARAMETERS & parameters.keys())
    converted: dict[str, JSON] = {
        "max_tokens": checked.max_tokens,
        "stop": checked.stop_sequences,
        "service_tier": "default" if checked.service_tier == "standard_only" else None,
        "reasoning_effort": effort_of(checked.thinking, checked.output_config),
        "response_format": format_of(checked.output_config),
        **_user(checked.metadata, vendor_fields),
    }
    if checked.tools is not None:
        converted["tools"] = chat_tools(checked.tools, vendor_fields)
    if checked.tool_choice is not None:
        converted |= chat_choice(checked.tool_choice)
    return parameters | {name: value for name, value in converted.items() if value is not None}


def _user(metadata: _Metadata | None, vendor_fields: set[str]) -> dict[str, JSON]:
    """Return the chat's `user`, or the unchanged `metadata` if the id is too long for it."""
    user = None if metadata is None else metadata.user_id
    if user is None or len(user) <= _LONGEST_USER:
        return {"user": user}
    vendor_fields.add("metadata")
    return {"metadata": {"user_id": user}}
