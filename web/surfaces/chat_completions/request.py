"""Validates a Chat Completions request with its messages and turns it into a model call.

Errors name the path of the invalid field. Source: OpenAI's API reference, "Create chat completion".
"""

from collections.abc import Sequence
from operator import is_
from typing import Annotated, TypeVar

import msgspec
import trio
from pydantic import BaseModel, ConfigDict, Field

from actors.turn.chat_messages import read_messages
from actors.turn.model_call import JSON, ModelCall
from web.http.api_error import ApiError, invalid
from web.http.json_body import json_object, read_json
from web.http.validation_errors import validated
from web.surfaces.chat_completions.tools import check_tool_choice, check_tools
from web.surfaces.content_parts import flat_parts

Message = dict[str, JSON]

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})

_PLAIN = ("user", "assistant", "system")

MAX_MESSAGES = 10_000
_NOT_FORWARDED = frozenset({"model", "messages", "stream", "stream_options", "strict"})
"""Fields that are not passed on: upstream requests always stream and ask for usage."""

_MAX_NAME_LENGTH = 512
"""Maximum characters of a model name, which is repeated in every frame, row and log line."""

T = TypeVar("T")

_FailFastList = Annotated[list[T], Field(fail_fast=True)]
"""A list that is validated up to its first error; reporting a million errors takes seconds."""


class ChatRequest(msgspec.Struct, frozen=True):
    """A valid request: the model call and the options of the answer."""

    model: str
    call: ModelCall
    stream: bool
    include_usage: bool
    keep_text: bool
    strict: bool
    """Extension: a parameter that a route does not support is an error, not a warning."""


class _Fields(BaseModel):
    """A model that ignores unknown fields, which are passed on unchanged."""

    model_config = ConfigDict(strict=True, frozen=True)


class _StreamOptions(_Fields):
    include_usage: bool | None = None


class _Body(_Fields):
    model: Annotated[str, Field(min_length=1, max_length=_MAX_NAME_LENGTH)]
    messages: Annotated[list[JSON], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    strict: bool | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    store: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: str | _FailFastList[str] | None = None
    tools: list[JSON] | None = None
    tool_choice: str | dict[str, JSON] | None = None
    response_format: dict[str, JSON] | None = None
    seed: int | None = None


def read_chat_request(body: bytes) -> ChatRequest:
    """Parse and validate `body`; raises `ApiError` (400)."""
    return _request(json_object(body))


async def receive_chat_request(body: bytes, threads: trio.CapacityLimiter) -> ChatRequest:
    """Parse and validate `body`, in one of `threads` if it is large; raises `ApiError` (400)."""
    return await read_json(body, _request, threads)


def _request(raw: dict[str, JSON]) -> ChatRequest:
    checked = validated(_Body, raw)
    if checked.tools is not None:
        check_tools(checked.tools)
    if checked.tool_choice is not None:
        check_tool_choice(checked.tool_choice)
    options = checked.stream_options
    return ChatRequest(
        model=checked.model,
        call=ModelCall(
            upstream_model="",
            messages=read_messages(chat_messages(checked.messages)),
            parameters={key: value for key, value in raw.items() if key not in _NOT_FORWARDED},
        ),
        stream=bool(checked.stream),
        include_usage=bool(options and options.include_usage),
        keep_text=checked.store is not False,
        strict=bool(checked.strict),
    )


def chat_messages(messages: Sequence[JSON]) -> list[Message]:
    """Return the messages as the providers get them.

    Fields that are not checked here are passed on unchanged. Raises `ApiError` (400) with the path
    of the invalid field.
    """
    return [
        # Fast path: nearly all messages look like this, and the check takes a tenth of the time.
        message
        if (
            type(message) is dict
            and type(message.get("content")) is str
            and message.get("role") in _PLAIN
            and "tool_calls" not in message
        )
        else _message(message, f"messages[{index}]")
        for index, message in enumerate(messages)
    ]


def _message(message: JSON, path: str) -> Message:
    if not isinstance(message, dict):
        raise _invalid(path, "must be an object.")
    _check_role(message.get("role"), f"{path}.role")
    _check_calls(message.get("tool_calls"), f"{path}.tool_calls")
    content = message.get("content")
    if content is None or isinstance(content, str):
        return message
    path = f"{path}.content"
    if not isinstance(content, list):
        text = "must be a string or a list of content parts."
        raise invalid(f"{path}: {text}", param=path, code="invalid_content_part")
    parts = flat_parts(content, path)

    if len(parts) == len(content) and all(map(is_, parts, content)):
        return message
    return {**message, "content": parts}


def _check_role(role: JSON, path: str) -> None:
    if role is None:
        raise invalid(f"{path}: field required.", param=path, code="missing_required_parameter")
    if not isinstance(role, str) or role not in _ROLES:
        raise _invalid(path, f"must be one of {', '.join(sorted(_ROLES))}.")


def _check_calls(calls: JSON, path: str) -> None:
    if calls is None:
        return
    if not isinstance(calls, list):
        raise _invalid(path, "must be a list of tool calls.")
    for index, call in enumerate(calls):
        if not isinstance(call, dict):
            raise _invalid(f"{path}[{index}]", "must be an object.")


def _invalid(path: str, words: str) -> ApiError:
    return invalid(f"{path}: {words}", param=path, code="invalid_value")
