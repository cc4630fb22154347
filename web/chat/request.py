"""Reads a Chat Completions request: what is wrong with it is said with the path of the field."""

from typing import Annotated, TypeVar

import msgspec
import trio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from actors.providers.base import JSON, ModelCall
from web.chat.messages import chat_messages
from web.chat.tools import check_tool_choice, check_tools
from web.field_errors import first_complaint
from web.json_body import json_object, read_json

MAX_MESSAGES = 10_000
_OURS = frozenset({"model", "messages", "stream", "stream_options", "strict"})
"""What is not passed on as it is: we stream upstream in any case and ask for usage."""

_LONGEST_NAME = 512
"""Characters of a model's name, which stands in every frame, and in the row and the log."""

T = TypeVar("T")

_Many = Annotated[list[T], Field(fail_fast=True)]
"""A list that is not looked at past its first mistake: a million of them take seconds to tell."""


class ChatRequest(msgspec.Struct, frozen=True):
    """A valid request: the call for whichever route answers, and what the client wants back."""

    model: str
    call: ModelCall
    stream: bool
    include_usage: bool
    keep_text: bool
    strict: bool
    """An extension: what a route cannot honour is an error, and not a warning."""


class _Fields(BaseModel):
    """Fields that are not looked at here are passed on untouched."""

    model_config = ConfigDict(strict=True, frozen=True)


class _StreamOptions(_Fields):
    include_usage: bool | None = None


class _Body(_Fields):
    model: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]
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
    stop: str | _Many[str] | None = None
    tools: list[JSON] | None = None
    tool_choice: str | dict[str, JSON] | None = None
    response_format: dict[str, JSON] | None = None
    seed: int | None = None


def read_chat_request(body: bytes) -> ChatRequest:
    """The request in `body`; raises `ApiError` (400) for anything that is not one."""
    return _request(json_object(body))


async def receive_chat_request(body: bytes, threads: trio.CapacityLimiter) -> ChatRequest:
    """The same, from one of `threads` where it takes so long that everybody would wait."""
    return await read_json(body, _request, threads)


def _request(raw: dict[str, JSON]) -> ChatRequest:
    try:
        checked = _Body.model_validate(raw)
    except ValidationError as error:
        raise first_complaint(error) from None
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
            parameters={key: value for key, value in raw.items() if key not in _OURS},
        ),
        stream=bool(checked.stream),
        include_usage=bool(options and options.include_usage),
        keep_text=checked.store is not False,
        strict=bool(checked.strict),
    )
