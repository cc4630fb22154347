"""Validates embeddings requests; errors name the path of the field."""

from typing import Annotated, Literal

import trio
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field

from actors.providers.formats.embeddings import EmbeddingCall
from actors.turn.model_call import JSON
from web.http.api_error import ApiError, invalid
from web.http.json_body import read_json
from web.http.validation_errors import validated

MAX_INPUTS = 2_048
"""Maximum number of inputs of a request; OpenAI's limit."""
_OURS = frozenset({"model", "input"})
_LONGEST_NAME = 512
_ABOUT_ONE = "four"
"""Placeholder text for a token; the token estimate counts it as one."""
_KINDS = "a string, a list of strings, a list of token numbers, or a list of lists of token numbers"


class EmbeddingRequest(Struct, frozen=True):
    """A validated embeddings request."""

    model: str
    call: EmbeddingCall


class _Body(BaseModel):
    """Model of the validated fields; all others are passed on unchanged."""

    model_config = ConfigDict(strict=True, frozen=True)

    model: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None


async def receive_embedding_request(body: bytes, threads: trio.CapacityLimiter) -> EmbeddingRequest:
    """Return the request in `body`. Raises `ApiError` (400) if it is invalid.

    Large bodies are read in `threads`.
    """
    return await read_json(body, read_embedding_request, threads)


def read_embedding_request(raw: dict[str, JSON]) -> EmbeddingRequest:
    """Return the request from the body's object. Raises `ApiError` (400) if it is invalid."""
    checked = validated(_Body, raw)
    given = raw.get("input")
    call = EmbeddingCall(
        input=given,
        texts=_texts(given),
        as_base64=checked.encoding_format == "base64",
        parameters={key: value for key, value in raw.items() if key not in _OURS},
    )
    return EmbeddingRequest(checked.model, call)


def _texts(given: JSON) -> tuple[str, ...]:
    """Return a text for each input, for estimates: the input, or a placeholder for its tokens."""
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
        raise _bad(path, "must be a string, like the first input.")
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
            raise _bad(f"{path}[{index}]", "must be a token number, a non-negative integer.")
    return _ABOUT_ONE * len(tokens)


def _is_token(value: JSON) -> bool:
    return type(value) is int and value >= 0


def _bad(path: str, message: str) -> ApiError:
    return invalid(f"{path}: {message}", param=path, code="invalid_value")
