"""Parses lines of Ollama's `/api/chat`: strictly at first, leniently if field types are wrong.

Only the fields that are used are declared. Shapes come from Ollama's API documentation, "Generate a
chat completion".
"""

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import (
    NULL,
    Number,
    number,
    objects,
    raw,
    read_either,
    text,
)


class Function(Struct, gc=False):
    name: str | None = None
    arguments: Raw = NULL


class Call(Struct, gc=False):
    id: str | None = None
    function: Function | None = None


class Message(Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Line(Struct, gc=False):
    """One line of a stream, or a whole answer."""

    message: Message | None = None
    created_at: str | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Number | None = None
    eval_count: Number | None = None
    logprobs: Raw = NULL
    error: Raw = NULL


class TokenLogprob(Struct):
    """A token and its log probability, as in Chat Completions."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class Logprob(TokenLogprob):
    top_logprobs: list[TokenLogprob] = []


_strict = msgspec.json.Decoder(Line).decode
_LOGPROBS = msgspec.json.Decoder(list[Logprob])


def read_line(data: bytes) -> tuple[Line, bool]:
    """Return the line and whether it matched the schema.

    If field types are wrong, the readable fields are kept. Raises `msgspec.DecodeError` if `data`
    isn't a JSON object.
    """
    return read_either(data, _strict, _lenient)


def read_logprobs(data: Raw) -> list[Logprob] | None:
    """Return the log probabilities, or None if they don't match the schema."""
    try:
        return _LOGPROBS.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _lenient(document: dict[str, object]) -> Line:
    return Line(
        message=_message(document.get("message")),
        created_at=text(document.get("created_at")),
        done=document.get("done") is True,
        done_reason=text(document.get("done_reason")),
        prompt_eval_count=number(document.get("prompt_eval_count")),
        eval_count=number(document.get("eval_count")),
        logprobs=raw(document.get("logprobs")),
        error=raw(document.get("error")),
    )


def _message(message: object) -> Message | None:
    if not isinstance(message, dict):
        return None
    return Message(
        content=text(message.get("content")),
        thinking=text(message.get("thinking")),
        tool_calls=[_call(one) for one in objects(message.get("tool_calls"))],
    )


def _call(call: dict[str, object]) -> Call:
    function = call.get("function")
    return Call(
        id=text(call.get("id")),
        function=Function(text(function.get("name")), raw(function.get("arguments")))
        if isinstance(function, dict)
        else None,
    )
