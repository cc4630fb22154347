"""Validates a Chat Completions request with its messages and turns it into a model call.

Errors name the path of the invalid field. Fields that are not checked here are passed on unchanged.
Source: OpenAI's API reference, "Create chat completion".
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec.structs import replace
from pydantic import Field

from actors.turn.chat_messages import read_message
from actors.turn.messages import JSON, Message
from actors.turn.model_call import ClientTool, ModelCall
from web.surfaces.content_parts import Media, flat_parts, plain_message
from web.surfaces.validation import (
    LONGEST_NAME,
    Body,
    FailFastList,
    Fields,
    Messages,
    Object,
    Parameters,
    check_function,
)
from web.turns.media_needs import MediaNeeds
from web.turns.planner import ModelRequest

_ROLES = ("assistant", "developer", "function", "system", "tool", "user")
_TOOL_CHOICES = ("none", "auto", "required")
_UNLIMITED = -1
"""Value of a limit on tokens with which clients of local servers ask for none."""
_NOT_FORWARDED = frozenset({"model", "messages", "stream", "stream_options", "strict"})
"""Fields that are not passed on: upstream requests always stream and ask for usage."""


class _StreamOptions(Parameters):
    include_usage: bool | None = None


class _Body(Body):
    messages: Messages
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    strict: bool | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    store: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: str | FailFastList[str] | None = None
    tools: list[JSON] | None = None
    tool_choice: str | dict[str, JSON] | None = None
    response_format: dict[str, JSON] | None = None
    seed: int | None = None


def read_chat_request(raw: Object) -> ModelRequest:
    """Validate the request in `raw`; raises `ApiError` (400)."""
    raw = {key: value for key, value in raw.items() if not _is_unlimited(key, value)}
    body = _Body.read(raw)
    custom = _check_tools(Fields(raw, ""))
    options = body.stream_options
    media: Media = {}
    return ModelRequest(
        model=body.model,
        call=ModelCall(
            upstream_model="",
            messages=_messages(body.messages, media),
            parameters={key: value for key, value in raw.items() if key not in _NOT_FORWARDED},
            client_tools={name: ClientTool(name, "custom") for name in custom},
        ),
        dialect_options={"include_usage": bool(options and options.include_usage)},
        stream=bool(body.stream),
        strict=bool(body.strict),
        keep_text=body.store is not False,
        media=MediaNeeds.of(media, f"messages[{len(body.messages) - 1}]."),
    )


def _is_unlimited(name: str, value: JSON) -> bool:
    return name in ("max_tokens", "max_completion_tokens") and value == _UNLIMITED


def _messages(messages: Sequence[JSON], media: Media) -> tuple[Message, ...]:
    return tuple(
        plain_message(message) or _message(Fields(message, f"messages[{index}]"), media)
        for index, message in enumerate(messages)
    )


def _message(message: Fields, media: Media) -> Message:
    message.required("role")
    message.one_of("role", _ROLES)
    list(message.objects("tool_calls"))
    # Citations belong to answers; requests to providers have no field for them.
    values = message.rest("annotations")
    content = values.get("content")
    if content is None or isinstance(content, str):
        return read_message(values)
    parts = flat_parts(content, message.at("content"), media)
    return replace(read_message(values | {"content": None}), content=tuple(parts))


def _check_tools(body: Fields) -> list[str]:
    """Check tools and tool choice, and return the names of custom tools.

    Tools of other types only some providers know.
    """
    custom: list[str] = []
    for tool in body.objects("tools"):
        match tool.text("type"):
            case "function":
                check_function(tool.object("function"))
            case "custom":
                custom.append(tool.object("custom").text("name", longest=LONGEST_NAME))
    if not isinstance(body.values.get("tool_choice"), dict):
        body.one_of("tool_choice", _TOOL_CHOICES)
        return custom
    choice = body.object("tool_choice")
    if (kind := choice.text("type")) in ("function", "custom"):
        choice.object(kind).text("name", longest=LONGEST_NAME)
    return custom
