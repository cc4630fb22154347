"""Validates a Responses request and converts its parameters to those of Chat Completions.

Errors name the path of the invalid field. `conversation_history` and `strict` are extensions.
Source: OpenAI's API reference, "Create a response".
"""

from typing import Annotated, Literal

from msgspec import Struct
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticKnownError

from actors.runtime.json_pieces import encoded
from actors.turn.model_call import JSON
from web.http.api_error import invalid
from web.surfaces.responses.input.conversation_history import read_history
from web.surfaces.responses.input.items import Item, read_input
from web.surfaces.responses.input.output_options import Tools, read_tools, response_format
from web.surfaces.validation import (
    LONGEST_NAME,
    Body,
    Fields,
    Parameters,
    missing,
    unsupported,
    wrong,
)

_METADATA = 16
"""Maximum number of metadata pairs in OpenAI's API."""

_UNAVAILABLE = {
    "prompt": "prompt templates are not supported. Send input and instructions.",
    "context_management": "automatic compaction is not supported; use POST /v1/responses/compact.",
    "moderation": "moderation is not supported. Remove the field.",
}
"""Fields that are rejected, since ignoring them would mislead the client."""

_LOGPROBS = "message.output_text.logprobs"
_SEALED = "reasoning.encrypted_content"


def _few(metadata: object) -> object:
    """Refuse too many pairs before they are validated: each invalid one would be an error."""
    if isinstance(metadata, dict) and (length := len(metadata)) > _METADATA:
        bounds = {"max_length": _METADATA, "actual_length": length}
        raise PydanticKnownError("too_long", {"field_type": "Dictionary", **bounds})
    return metadata


class HistorySource(Struct, frozen=True, kw_only=True):
    """The source of a request's history; all None if the request has no history."""

    previous: str | None = None
    """The id of the previous response."""
    conversation: str | None = None
    """The name of a conversation."""
    items: list[Item] | None = None
    """Items sent by the client, which replace the stored history."""

    @property
    def given(self) -> bool:
        """True if the request names a history."""
        return not (self.previous is None and self.conversation is None and self.items is None)


class ResponsesRequest(Struct, frozen=True, kw_only=True):
    """A valid request."""

    model: str
    input: list[Item]
    past: HistorySource
    instructions: str | None
    """Instructions, or None to inherit those of the history."""
    parameters: dict[str, JSON]
    """Parameters of the model call, in the form of Chat Completions."""
    thinking: dict[str, JSON]
    """Settings of `reasoning` without an equivalent in Chat Completions."""
    echo: dict[str, JSON]
    """Fields that the response object repeats, without those that depend on the history."""
    stored_input: str
    """JSON array of the items that are stored as this turn's input."""
    include_sealed: bool = False
    """True if the client wants encrypted reasoning; other APIs' states it gets without asking."""
    stream: bool = False
    store: bool = True
    """True if the response is stored (the `store` parameter)."""
    truncate: bool = False
    """True if old messages may be dropped to fit the context window (`truncation: auto`)."""
    strict: bool = False
    """Extension: a parameter that a route does not support is an error, not a warning."""


class _Reasoning(Parameters):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class _StreamOptions(Parameters):
    include_obfuscation: bool | None = None


class _Body(Body):
    instructions: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    store: bool | None = None
    strict: bool | None = None
    background: bool | None = None
    previous_response_id: Annotated[str, Field(min_length=1)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tool_calls: Annotated[int, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: list[JSON] | None = None
    parallel_tool_calls: bool | None = None
    text: dict[str, JSON] | None = None
    reasoning: _Reasoning | None = None
    include: Annotated[list[str], Field(max_length=100, fail_fast=True)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: (
        Annotated[dict[str, str], BeforeValidator(_few), Field(max_length=_METADATA)] | None
    ) = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None


_READ = frozenset(
    {
        *_Body.model_fields,
        *("conversation", "conversation_history", "input", "tool_choice"),
        *_UNAVAILABLE,
    }
)
"""Fields that are handled here; all others are passed on unchanged."""


_ECHOED = (
    *("max_output_tokens", "max_tool_calls", "metadata", "parallel_tool_calls"),
    *("prompt_cache_key", "safety_identifier", "store", "temperature", "top_logprobs"),
    *("top_p", "truncation", "user"),
)
"""Fields that the response object repeats unchanged."""


def read_responses_request(raw: dict[str, JSON]) -> ResponsesRequest:
    """Validate the request in `raw`; raises `ApiError` (400)."""
    body = _Body.read(raw)
    _check_available(raw, body)
    tools = read_tools(body.tools, raw.get("tool_choice"))
    past = _past(raw, body)
    input = _input(raw, past)
    text = response_format(body.text)
    return ResponsesRequest(
        model=body.model,
        input=input,
        stored_input=_stored_input(past, input),
        past=past,
        instructions=body.instructions,
        parameters=_parameters(raw, body, tools) | text.parameters,
        thinking=_thinking(raw),
        echo=_echo(body, tools) | {"text": text.shown},
        include_sealed=_SEALED in (body.include or []),
        stream=bool(body.stream),
        store=body.store is not False,
        truncate=body.truncation == "auto",
        strict=bool(body.strict),
    )


def conversation_name(raw: dict[str, JSON]) -> str | None:
    """Return the name in `conversation`, which is a string or an object with an `id`.

    Raises `ApiError` (400).
    """
    request = Fields(raw, "")
    given = raw.get("conversation")
    if given is None:
        return None
    if isinstance(given, dict):
        return request.object("conversation").text("id", longest=LONGEST_NAME)
    return request.text("conversation", longest=LONGEST_NAME)


def check_one_past(previous: str | None, conversation: str | None) -> None:
    """Raise `ApiError` (400) if the request names both kinds of history."""
    if previous is not None and conversation is not None:
        text = "previous_response_id and conversation cannot be used together. Send one of them."
        raise invalid(text, param="previous_response_id", code="mutually_exclusive_parameters")


def _past(raw: dict[str, JSON], body: _Body) -> HistorySource:
    previous, conversation = body.previous_response_id, conversation_name(raw)
    check_one_past(previous, conversation)
    history = raw.get("conversation_history")
    items = None if history is None else read_history(history)
    return HistorySource(previous=previous, conversation=conversation, items=items)


def _input(raw: dict[str, JSON], past: HistorySource) -> list[Item]:
    given = raw.get("input")
    if given is None:
        if past.given:
            return []
        raise missing("input")
    return read_input(given)


def _stored_input(past: HistorySource, input: list[Item]) -> str:
    """Encode the items that the request adds; referenced items are in the history already."""
    own = [item for item in input if item["type"] != "item_reference"]
    return encoded([*(past.items or ()), *own]).decode()


def _check_available(raw: dict[str, JSON], body: _Body) -> None:
    for name, words in _UNAVAILABLE.items():
        if raw.get(name) is not None:
            raise unsupported(name, words)
    if body.background:
        raise unsupported("background", "responses cannot run in the background yet.")
    if body.service_tier not in (None, "auto", "default"):
        raise unsupported("service_tier", "must be auto or default.")
    for key, value in (body.metadata or {}).items():
        if not 0 < len(key) <= 64 or len(value) > 512:
            words = "keys may have 1 to 64 characters and values at most 512."
            raise wrong(f"metadata.{key[:64]}", words)


def _parameters(raw: dict[str, JSON], body: _Body, tools: Tools) -> dict[str, JSON]:
    """Return the parameters under their Chat Completions names, with unknown ones unchanged."""
    given: dict[str, JSON] = {
        "temperature": body.temperature,
        "top_p": body.top_p,
        "max_completion_tokens": body.max_output_tokens,
        "parallel_tool_calls": body.parallel_tool_calls if tools.shown else None,
        "reasoning_effort": body.reasoning.effort if body.reasoning else None,
        "user": body.user,
        "safety_identifier": body.safety_identifier,
        "prompt_cache_key": body.prompt_cache_key,
        **{name: value for name, value in raw.items() if name not in _READ},
    }
    if body.top_logprobs is not None or _LOGPROBS in (body.include or ()):
        given |= {"logprobs": True, "top_logprobs": body.top_logprobs}
    return {name: value for name, value in given.items() if value is not None} | tools.parameters


def _thinking(raw: dict[str, JSON]) -> dict[str, JSON]:
    reasoning = raw.get("reasoning")
    given = reasoning if isinstance(reasoning, dict) else {}
    return {name: value for name, value in given.items() if name != "effort" and value is not None}


def _echo(body: _Body, tools: Tools) -> dict[str, JSON]:
    """Return what the request gives; the response object has defaults for the rest."""
    echo = {name: value for name in _ECHOED if (value := getattr(body, name)) is not None}
    if body.reasoning is not None:
        summary = body.reasoning.summary or body.reasoning.generate_summary
        echo["reasoning"] = {"effort": body.reasoning.effort, "summary": summary}
    return echo | {"tool_choice": tools.choice, "tools": list(tools.shown)}
