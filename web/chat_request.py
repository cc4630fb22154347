"""Reads a Chat Completions request: what is wrong with it is said with the path of the field."""

import re
from typing import Annotated, Literal, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from actors.providers.base import JSON, ModelCall
from web.errors import ApiError, invalid

_IMAGE_URL = re.compile(r"https?://|data:image/[a-z0-9.+-]+[;,]", re.IGNORECASE)
MAX_MESSAGES = 10_000
MAX_PARTS = 1_000
"""Of one message. Looking at more would hold up the streams of others."""
_OURS = frozenset({"model", "messages", "stream", "stream_options"})
"""What is not passed on as it is: we stream upstream in any case and ask for usage."""

_LONGEST_NAME = 512
"""Characters of a model's name, which stands in every frame, and in the row and the log."""

_decode = msgspec.json.Decoder(dict[str, JSON]).decode

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


class _Part(BaseModel):
    """The shape of a message: fields that are not looked at here are passed on untouched."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class _ImageUrl(_Part):
    url: str

    @field_validator("url")
    @classmethod
    def _is_an_image(cls, url: str) -> str:
        if not _IMAGE_URL.match(url):
            text = "must be an http(s) URL or a data:image/… URL"
            raise PydanticCustomError("invalid_image_url", text)
        return url


class _TextPart(_Part):
    type: Literal["text"]
    text: str


class _RefusalPart(_Part):
    type: Literal["refusal"]
    refusal: str


class _ImagePart(_Part):
    type: Literal["image_url"]
    image_url: _ImageUrl


_Content = Annotated[_TextPart | _ImagePart | _RefusalPart, Field(discriminator="type")]


class _Message(_Part):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[_Many[_Content], Field(max_length=MAX_PARTS)] | None = None
    tool_calls: _Many[dict[str, JSON]] | None = None


class _StreamOptions(_Part):
    include_usage: bool | None = None


class _Body(_Part):
    model: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]
    messages: Annotated[_Many[_Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    store: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: str | _Many[str] | None = None
    tools: _Many[dict[str, JSON]] | None = None
    tool_choice: str | dict[str, JSON] | None = None
    response_format: dict[str, JSON] | None = None
    seed: int | None = None


def read_chat_request(body: bytes) -> ChatRequest:
    """The request in `body`; raises `ApiError` (400) for anything that is not one."""
    raw = _object(body)
    try:
        checked = _Body.model_validate(raw)
    except ValidationError as error:
        raise _complaint(error) from None
    messages = raw["messages"]
    options = checked.stream_options
    return ChatRequest(
        model=checked.model,
        call=ModelCall(
            upstream_model="",
            messages=messages,  # type: ignore[arg-type]  # _Body has looked
            parameters={key: value for key, value in raw.items() if key not in _OURS},
        ),
        stream=bool(checked.stream),
        include_usage=bool(options and options.include_usage),
        keep_text=checked.store is not False,
    )


def _object(body: bytes) -> dict[str, JSON]:
    try:
        return _decode(body)
    except msgspec.ValidationError:
        raise invalid("The body must be a JSON object.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"The body is not valid JSON: {error}") from None
    except RecursionError:
        raise invalid("The body is nested too deeply.") from None


def _complaint(error: ValidationError) -> ApiError:
    """The first error, and whether other fields have theirs."""
    errors = error.errors(include_url=False, include_context=True, include_input=False)
    first = min(errors, key=_specificity)
    path = _path(first)
    more = " (more is wrong)" if len({error["loc"][:1] for error in errors}) > 1 else ""
    return invalid(f"{path}: {_words(first)}{more}", param=path, code=_code(first))


def _specificity(error: ErrorDetails) -> tuple[bool, int]:
    # Of a union's complaints the one about the list says more than "must be a string".
    return error["type"] != "too_long", -len(error["loc"])


def _code(error: ErrorDetails) -> str | None:
    match error["type"]:
        case "union_tag_invalid" | "union_tag_not_found":
            return "unsupported_content_type"
        case "invalid_image_url":
            return "invalid_image_url"
        case "missing":
            return "missing_required_parameter"
        case _:
            return "invalid_content_part" if "content" in error["loc"] else "invalid_value"


def _words(error: ErrorDetails) -> str:
    if error["loc"] and error["loc"][-1] == "n":
        return "only one choice per request (n = 1) is supported."
    if _code(error) == "unsupported_content_type":
        return "content parts may be of type text, image_url or refusal."
    message = error["msg"]
    return message[:1].lower() + message[1:] + "."


_UNION_STEPS = re.compile(r"str|list\[.*\]|dict\[.*\]|text|image_url|refusal")


def _path(error: ErrorDetails) -> str:
    """`messages[0].content[1].type`; the steps that only name a union's branch are left out."""
    path = ""
    before: int | str = ""
    for step in error["loc"]:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not _names_a_branch(step, before):
            path += f".{step}" if path else step
        before = step
    return f"{path}.type" if _code(error) == "unsupported_content_type" else path


def _names_a_branch(step: str, before: int | str) -> bool:
    if before == "content" or before in {"stop", "tool_choice"}:
        return _UNION_STEPS.fullmatch(step) is not None
    return isinstance(before, int) and step in {"text", "image_url", "refusal"}
