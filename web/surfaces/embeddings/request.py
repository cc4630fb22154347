"""Validates embeddings requests; errors name the path of the field."""

from typing import Annotated, Literal

from msgspec import Struct
from pydantic import Field

from actors.providers.formats.embeddings import EmbeddingCall
from actors.turn.messages import JSON
from web.surfaces.validation import Body, Object, missing, wrong

MAX_INPUTS = 2_048
"""Maximum number of inputs of a request; OpenAI's limit."""
_OURS = frozenset({"model", "input"})
_ABOUT_ONE = "four"
"""Placeholder text for a token; the token estimate counts it as one."""
_KINDS = "a string, a list of strings, a list of token numbers, or a list of lists of token numbers"


class EmbeddingRequest(Struct, frozen=True):
    """A validated embeddings request."""

    model: str
    call: EmbeddingCall


class _Body(Body):
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None


def read_embedding_request(raw: Object) -> EmbeddingRequest:
    """Return the request from the body's object. Raises `ApiError` (400) if it is invalid."""
    body = _Body.read(raw)
    given = raw.get("input")
    call = EmbeddingCall(
        input=given,
        texts=_texts(given),
        as_base64=body.encoding_format == "base64",
        parameters={key: value for key, value in raw.items() if key not in _OURS},
    )
    return EmbeddingRequest(body.model, call)


def _texts(given: JSON) -> tuple[str, ...]:
    """Return a text for each input, for estimates: the input, or a placeholder for its tokens."""
    if given is None:
        raise missing("input")
    if not isinstance(given, str | list):
        raise wrong("input", f"must be {_KINDS}.")
    if not given or isinstance(given, str) or _is_token(given[0]):
        return (_text(given, "input"),)
    if len(given) > MAX_INPUTS:
        raise wrong("input", f"may have at most {MAX_INPUTS} inputs.")
    kind = str if isinstance(given[0], str) else list
    return tuple(_text(one, f"input[{index}]", kind) for index, one in enumerate(given))


def _text(given: JSON, path: str, kind: type = object) -> str:
    """Return a text or a list of tokens as text; raises `ApiError` (400)."""
    if not isinstance(given, str | list) or not isinstance(given, kind):
        raise wrong(path, f"must be of the same kind as the first input. The input is {_KINDS}.")
    if not given:
        raise wrong(path, "must not be empty.")
    if isinstance(given, str):
        return given
    for index, token in enumerate(given):
        if not _is_token(token):
            raise wrong(f"{path}[{index}]", "must be a token number, a non-negative integer.")
    return _ABOUT_ONE * len(given)


def _is_token(value: JSON) -> bool:
    return type(value) is int and value >= 0
