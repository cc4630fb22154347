"""Builds the `response` object of a turn, in progress or ended, with its `error`."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from actors.answer.builder import AnswerBuilder, fold
from actors.answer.items import Item, items_of
from actors.turn.events import AnyEvent, Ended, RouteChanged, Started
from actors.turn.model_call import JSON
from actors.turn.outcome import CONTEXT_LENGTH, ErrorInfo, Reason, Usage
from web.dialects.openai_responses.items import Fields, output_items, response_id
from web.dialects.turn_errors import error_of

CODES = frozenset(
    {
        *("server_error", "rate_limit_exceeded", "vector_store_timeout"),
        *("invalid_prompt", "data_residency_mismatch", "bio_policy"),
        *("misalignment_policy_violation", "image_content_policy_violation"),
        *("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url"),
        *("invalid_image_mode", "image_too_large", "image_too_small", "image_parse_error"),
        *("image_file_too_large", "unsupported_image_media_type", "empty_image_file"),
        *("failed_to_download_image", "image_file_not_found"),
        # Not in the reference, but the API sends it, and Codex compacts its history on it.
        CONTEXT_LENGTH,
    }
)
"""All error codes of a response in OpenAI's API reference; strict clients reject others."""

_INVALID_REQUEST = frozenset({400, 403, 404, 409, 413, 415, 422})

_COMPLETED = frozenset({Reason.STOP, Reason.TOOL_CALLS, Reason.PAUSE_TURN})
_INCOMPLETE = {
    Reason.LENGTH: "max_output_tokens",
    Reason.SIZE_LIMIT: "max_output_tokens",
    Reason.CONTENT_FILTER: "content_filter",
    Reason.GUARD_BLOCKED: "content_filter",
    Reason.GUARD_REJECTED: "content_filter",
}

_NAMING = (Started, RouteChanged)
"""Events that name the model."""

ANSWER_REASONS = _COMPLETED | _INCOMPLETE.keys()
"""Reasons that end a turn with a complete or incomplete answer; all others are errors."""

_NAMES = (
    *("id", "object", "created_at", "status", "background", "completed_at", "error"),
    *("frequency_penalty", "incomplete_details", "instructions", "max_output_tokens"),
    *("max_tool_calls", "model", "output", "parallel_tool_calls", "presence_penalty"),
    *("previous_response_id", "conversation", "prompt"),
    *("prompt_cache_key", "prompt_cache_retention", "reasoning", "safety_identifier"),
    *("service_tier", "store", "temperature", "text", "tool_choice", "tools", "top_logprobs"),
    *("top_p", "truncation", "usage", "user", "metadata"),
    # Only OpenAI's service fills these.
    *("access_programs", "image", "input_transformations", "moderation"),
    *("prompt_cache_diagnostics", "prompt_cache_options", "tool_usage"),
)
"""All fields of the object, in their order."""


class ResponseData(Struct, frozen=True, kw_only=True):
    """The data of a response object, from a live turn or from the store."""

    turn_id: str
    model: str
    """The upstream model, or the requested model while no route has answered."""
    created_at: float
    """Seconds since the epoch."""
    items: Sequence[Item] = ()
    reason: Reason | None = None
    """The reason of the end, or None while the turn runs."""
    usage: Usage | None = None
    error: ErrorInfo | None = None
    """The error with which the turn ended, or None if the reason implies it."""
    ended_at: float | None = None
    """Seconds since the epoch, or None while the turn runs."""

    @property
    def status(self) -> str:
        """The `status` of the response object."""
        if self.reason is None:
            return "in_progress"
        if self.reason in ANSWER_REASONS:
            return "completed" if self.reason in _COMPLETED else "incomplete"
        return "cancelled" if self.reason is Reason.CANCEL_REQUESTED else "failed"

    def ended(self, ended: Ended) -> "ResponseData":
        """Return a copy with the end of the turn."""
        return msgspec.structs.replace(
            self,
            model=ended.upstream_model or self.model,
            reason=ended.reason,
            usage=ended.usage,
            error=ended.error,
            ended_at=ended.ended_at,
        )


def response_object(
    journal: Sequence[AnyEvent],
    options: Mapping[str, JSON],
    answer: AnswerBuilder | None = None,
) -> Fields:
    """Return the object for the journal of a turn, ended or in progress.

    `options["echo"]` holds the fields that repeat the request. `answer` is the fold of the
    journal, if there is one already.
    """
    return object_of(answer_of(journal, answer), options)


def answer_of(journal: Sequence[AnyEvent], answer: AnswerBuilder | None = None) -> ResponseData:
    """Return the answer in a journal; raises `ValueError` if it does not begin with `Started`."""
    started = journal[0] if journal else None
    if not isinstance(started, Started):
        raise ValueError("the journal must begin with Started")
    data = ResponseData(
        turn_id=started.turn_id,
        model=_model(journal) or started.model,
        created_at=started.created_at,
        items=items_of(answer or fold(journal)),
    )
    last = journal[-1]
    return data.ended(last) if isinstance(last, Ended) else data


def _model(journal: Sequence[AnyEvent]) -> str | None:
    named = (event for event in reversed(journal) if type(event) in _NAMING)
    last = next(named, None)
    return last.upstream_model if isinstance(last, Started | RouteChanged) else None


def object_of(
    answer: ResponseData, options: Mapping[str, JSON], output: Sequence[object] | None = None
) -> Fields:
    """Return the object; `output` replaces the items if they have been rendered already."""
    echo = options.get("echo")
    fields = _defaults() | (echo if isinstance(echo, dict) else {})
    status, ended_at = answer.status, answer.ended_at
    incomplete = _INCOMPLETE.get(answer.reason) if answer.reason else None
    return fields | {
        "id": response_id(answer.turn_id),
        "object": "response",
        "created_at": int(answer.created_at),
        "status": status,
        "completed_at": int(ended_at) if ended_at and status == "completed" else None,
        "error": answer_error(answer),
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "model": answer.model,
        "output": output_items(answer.turn_id, answer.items) if output is None else output,
        "usage": usage_fields(answer.usage) if answer.usage else None,
    }


def answer_error(answer: ResponseData) -> Fields | None:
    """Return the `error` of a response object, or None if the response did not fail."""
    if answer.status != "failed" or answer.reason is None:
        return None  # a cancellation is not a failure, and OpenAI's API has no code for it
    return response_error(answer.error or error_of(answer.reason))


def usage_fields(usage: Usage) -> Fields:
    """Return usage in the form of the Responses API."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _defaults() -> Fields:
    """Return all fields of the object with their defaults."""
    return dict.fromkeys(_NAMES) | {
        "background": False,
        "frequency_penalty": 0.0,
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "metadata": {},
    }


def response_error(info: ErrorInfo) -> dict[str, object]:
    """Return the `error` of a response object.

    A code that is not in OpenAI's list is appended to the message.
    """
    code = _code(info)
    is_listed = info.code is None or info.code == code
    return {
        "code": code,
        "message": info.message if is_listed else f"{info.message} ({info.code})",
        "param": info.param,
        "type": info.type,
    }


def _code(info: ErrorInfo) -> str:
    if info.code in CODES:
        return info.code
    if info.status == 429:
        return "rate_limit_exceeded"
    return "invalid_prompt" if info.status in _INVALID_REQUEST else "server_error"
