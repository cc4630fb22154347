"""Reads an embeddings request: what is wrong with it is said with the path of the field."""

from typing import Annotated, Literal

import trio
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from actors.providers.base import JSON
from actors.providers.embeddings import EmbeddingAsk
from web.errors import ApiError, invalid
from web.field_errors import first_complaint
from web.json_body import read_json

MAX_INPUTS = 2_048
"""OpenAI's limit for one request."""
_OURS = frozenset({"model", "input"})
_LONGEST_NAME = 512
_ABOUT_ONE = "four"
"""Stands in for a token where only its length counts: an estimate takes it for one."""
_KINDS = "a string, a list of strings, a list of token numbers, or a list of such lists"


class EmbeddingRequest(Struct, frozen=True):
    """A valid request."""

    model: str
    ask: EmbeddingAsk


class _Body(BaseModel):
    """Fields that are not looked at here are passed on untouched."""

    model_config = ConfigDict(strict=True, frozen=True)

    model: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None


async def receive_embedding_request(body: bytes, threads: trio.CapacityLimiter) -> EmbeddingRequest:
    """The request in `body`; raises `ApiError` (400) for anything that is not one."""
    return await read_json(body, read_embedding_request, threads)


def read_embedding_request(raw: dict[str, JSON]) -> EmbeddingRequest:
    """The request in the body's object; raises `ApiError` (400)."""
    try:
        checked = _Body.model_validate(raw)
    except ValidationError as error:
        raise first_complaint(error) from None
    given = raw.get("input")
    ask = EmbeddingAsk(
        input=given,
        texts=_texts(given),
        as_base64=checked.encoding_format == "base64",
        parameters={key: value for key, value in raw.items() if key not in _OURS},
    )
    return EmbeddingRequest(checked.model, ask)


def _texts(given: JSON) -> tuple[str, ...]:
    """A text for each input: the input itself, or something as long as its tokens."""
    if given is None:
        path = "input"
        raise invalid(f"{path}: field required.", param=path, code="missing_required_parameter")
    if isinstance(given, str):
        return (_text(given, "input"),)
    if not isinstance(given, list):
        raise _bad("input", f"must be {_KINDS}.")
    if not given:
        raise _bad("input", "must not be empty.")
    if _is_token(given[0]):
        return (_tokens(given, "input"),)
    if len(given) > MAX_INPUTS:
        raise _bad("input", f"may have at most {MAX_INPUTS} inputs.")
    if isinstance(given[0], str):
        return tuple(_text(text, f"input[{index}]") for index, text in enumerate(given))
    return tuple(_tokens(tokens, f"input[{index}]") for index, tokens in enumerate(given))


def _text(text: JSON, path: str) -> str:
    if not isinstance(text, str):
        raise _bad(path, "must be a string, like the input before it.")
    if not text:
        raise _bad(path, "must not be empty.")
    return text


def _tokens(tokens: JSON, path: str) -> str:
    if not isinstance(tokens, list):
        raise _bad(path, f"input must be {_KINDS}.")
    if not tokens:
        raise _bad(path, "must not be empty.")
    for index, token in enumerate(tokens):
        if not _is_token(token):
            raise _bad(f"{path}[{index}]", "must be the number of a token, like that before it.")
    return _ABOUT_ONE * len(tokens)


def _is_token(value: JSON) -> bool:
    return type(value) is int and value >= 0


def _bad(path: str, words: str) -> ApiError:
    return invalid(f"{path}: {words}", param=path, code="invalid_value")
