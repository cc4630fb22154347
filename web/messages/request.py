"""Reads a Messages request: what is wrong with it is said with the path of the field.

It becomes a chat, as all requests do. What only Anthropic's API knows stays in it under its own
name, for routes that speak that API (`ModelCall.foreign`).
"""

from typing import Annotated, Literal, TypeVar

import msgspec
import trio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from actors.providers.base import JSON, ModelCall
from web.chat.request import MAX_MESSAGES
from web.errors import invalid
from web.field_errors import first_complaint
from web.json_body import read_json
from web.messages.thinking import OutputConfig, Thinking, effort_of, format_of, restated
from web.messages.tools import chat_choice, chat_tools
from web.messages.turns import chat_of

T = TypeVar("T")

_Many = Annotated[list[T], Field(fail_fast=True)]

_LONGEST_NAME = 512
_LONGEST_USER = 64
"""Characters of a chat's `user`; OpenAI refuses more."""
_NOT_HERE = {
    "container": "there are no containers here.",
    "mcp_servers": "there are no MCP servers here; connect to them in the client.",
}
_ONLY_THERE = frozenset(
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
"""Parameters that a chat has no name for."""
_READ = frozenset(
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
"""What becomes something else; all other parameters are passed on as they are."""


class MessagesRequest(msgspec.Struct, frozen=True):
    """A valid request: the call for whichever route answers, and what the client wants back."""

    model: str
    call: ModelCall
    stream: bool
    strict: bool
    """An extension: what a route cannot honour is an error, and not a warning."""


class _Fields(BaseModel):
    """Fields that are not looked at here are passed on untouched."""

    model_config = ConfigDict(strict=True, frozen=True)


class _Metadata(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    user_id: str | None = None


class _Counted(_Fields):
    """What there is to count."""

    model: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]
    messages: Annotated[list[JSON], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stream: bool | None = None
    strict: bool | None = None
    stop_sequences: _Many[str] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    metadata: _Metadata | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    tools: list[JSON] | None = None
    tool_choice: dict[str, JSON] | None = None


class _Asked(_Counted):
    max_tokens: Annotated[int, Field(ge=1)]


async def receive_messages_request(body: bytes, threads: trio.CapacityLimiter) -> MessagesRequest:
    """The request in `body`; raises `ApiError` (400) for anything that is not one."""
    return await read_json(body, read_messages_request, threads)


async def receive_count_request(body: bytes, threads: trio.CapacityLimiter) -> MessagesRequest:
    """The same where only its tokens are to be counted, and there need be no `max_tokens`."""
    return await read_json(body, read_count_request, threads)


def read_messages_request(raw: dict[str, JSON]) -> MessagesRequest:
    """The request in the body's object; raises `ApiError` (400)."""
    return _request(raw, _Asked)


def read_count_request(raw: dict[str, JSON]) -> MessagesRequest:
    """The same where only its tokens are to be counted."""
    return _request(raw, _Counted)


def _request(raw: dict[str, JSON], shape: type[_Counted]) -> MessagesRequest:
    try:
        checked = shape.model_validate(raw)
    except ValidationError as error:
        raise first_complaint(error) from None
    for name, words in _NOT_HERE.items():
        if raw.get(name) is not None:
            raise invalid(f"{name}: {words}", param=name, code="unsupported_parameter")
    kept: set[str] = set()
    messages = chat_of(raw.get("system"), checked.messages, kept)
    parameters = _parameters(raw, checked, kept)
    return MessagesRequest(
        model=checked.model,
        call=ModelCall(
            upstream_model="",
            messages=messages,
            parameters=parameters,
            foreign={name: restated(name, raw.get(name)) for name in sorted(kept)},
        ),
        stream=bool(checked.stream),
        strict=bool(checked.strict),
    )


def _parameters(raw: dict[str, JSON], checked: _Counted, kept: set[str]) -> dict[str, JSON]:
    parameters = {name: v for name, v in raw.items() if name not in _READ and v is not None}
    kept.update(_ONLY_THERE & parameters.keys())
    said: dict[str, JSON] = {
        "max_tokens": checked.max_tokens,
        "stop": checked.stop_sequences,
        "service_tier": "default" if checked.service_tier == "standard_only" else None,
        "reasoning_effort": effort_of(checked.thinking, checked.output_config),
        "response_format": format_of(checked.output_config),
        **_user(checked.metadata, kept),
    }
    if checked.tools is not None:
        said["tools"] = chat_tools(checked.tools, kept)
    if checked.tool_choice is not None:
        said |= chat_choice(checked.tool_choice)
    return parameters | {name: value for name, value in said.items() if value is not None}


def _user(metadata: _Metadata | None, kept: set[str]) -> dict[str, JSON]:
    """Whom the call is for; a longer name than a chat's stays where it was."""
    user = None if metadata is None else metadata.user_id
    if user is None or len(user) <= _LONGEST_USER:
        return {"user": user}
    kept.add("metadata")
    return {"metadata": {"user_id": user}}
