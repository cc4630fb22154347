"""Validates a Chat Completions request and turns it into a model call.

Errors name the path of the invalid field.
"""

from typing import Annotated, TypeVar

import msgspec
import trio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from actors.turn.model_call import JSON, ModelCall
from web.chat.messages import chat_messages
from web.chat.tools import check_tool_choice, check_tools
from web.field_errors import first_error
from web.json_body import json_object, read_json

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
    try:
        checked = _Body.model_validate(raw)
    except ValidationError as error:
        raise first_error(error) from None
    if checked.tools is not None:
        check_tools(checked.tools)
    if checked.tool_choice is not None:
        check_tool_choice(checked.tool_choice)
    options = checked.stream_options
    return ChatRequest(
        model=checked.model,
        call=ModelCall(
            upstream_model="",
            messages=chat_messages(checked.messages),
            parameters={key: value for key, value in raw.items() if key not in _NOT_FORWARDED},
        ),
        stream=bool(checked.stream),
        include_usage=bool(options and options.include_usage),
        keep_text=checked.store is not False,
        strict=bool(checked.strict),
    )
