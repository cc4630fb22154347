"""The `response` object of a turn, in whatever state it is."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from actors.answer_items import Item, items_of
from actors.events import AnyEvent, Ended, RouteChanged, Started
from actors.outcome import ErrorInfo, Reason, Usage
from actors.providers.base import JSON
from web.dialects.responses_errors import response_error
from web.dialects.responses_items import Fields, output_items, response_id
from web.errors import error_of

_COMPLETED = frozenset({Reason.STOP, Reason.TOOL_CALLS})
_INCOMPLETE = {
    Reason.LENGTH: "max_output_tokens",
    Reason.SIZE_LIMIT: "max_output_tokens",
    Reason.CONTENT_FILTER: "content_filter",
    Reason.GUARD_BLOCKED: "content_filter",
}

_NAMING = (Started, RouteChanged)

TOLD = _COMPLETED | _INCOMPLETE.keys()
"""The ends that are an answer, whole or not; all others are failures, or a cancellation."""


class Answer(Struct, frozen=True, kw_only=True):
    """What a response object says of a turn, wherever that is known from."""

    turn_id: str
    model: str
    """The upstream model that answers; the one that was asked for where none has yet."""
    created_at: float
    items: Sequence[Item] = ()
    reason: Reason | None = None
    """Why it ended; None while it plays."""
    usage: Usage | None = None
    error: ErrorInfo | None = None
    """The failure that it ended in, where it has words of its own."""
    ended_at: float | None = None

    @property
    def status(self) -> str:
        """As the object spells it."""
        if self.reason is None:
            return "in_progress"
        if self.reason in TOLD:
            return "completed" if self.reason in _COMPLETED else "incomplete"
        return "cancelled" if self.reason is Reason.CANCEL_REQUESTED else "failed"

    def ended(self, ended: Ended) -> "Answer":
        """The same with how it ended."""
        return msgspec.structs.replace(
            self,
            model=ended.upstream_model or self.model,
            reason=ended.reason,
            usage=ended.usage,
            error=ended.error,
            ended_at=ended.ended_at,
        )


def tells(ended: Ended) -> bool:
    """Whether a call that does not stream can be answered with the object, and not an error."""
    return ended.reason in TOLD


def response_object(
    journal: Sequence[AnyEvent],
    options: Mapping[str, JSON],
    items: Sequence[Item] | None = None,
) -> Fields:
    """The object for a journal, whole or as far as it has come; with its `items`, if known.

    `options["echo"]` has the fields that repeat the request, as the object shows them.
    """
    return object_of(answer_of(journal, items), options)


def answer_of(journal: Sequence[AnyEvent], items: Sequence[Item] | None = None) -> Answer:
    """What a journal tells; raises `ValueError` where it has not begun."""
    started = journal[0] if journal else None
    if not isinstance(started, Started):
        raise ValueError("an answer needs a journal that has begun")
    answer = Answer(
        turn_id=started.turn_id,
        model=_model(journal) or started.model,
        created_at=started.created_at,
        items=items_of(journal) if items is None else items,
    )
    last = journal[-1]
    return answer.ended(last) if isinstance(last, Ended) else answer


def _model(journal: Sequence[AnyEvent]) -> str | None:
    named = (event for event in reversed(journal) if type(event) in _NAMING)
    last = next(named, None)
    return last.upstream_model if isinstance(last, Started | RouteChanged) else None


def object_of(
    answer: Answer, options: Mapping[str, JSON], output: Sequence[object] | None = None
) -> Fields:
    """The object; `output` where its items have been spelled already."""
    fields = _defaults()
    echo = options.get("echo")
    if isinstance(echo, dict):
        fields.update(echo)
    status = answer.status
    ended_at = answer.ended_at
    incomplete = _INCOMPLETE.get(answer.reason) if answer.reason else None
    return fields | {
        "id": response_id(answer.turn_id),
        "object": "response",
        "created_at": int(answer.created_at),
        "status": status,
        "completed_at": int(ended_at) if ended_at and status == "completed" else None,
        "error": _error(answer),
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "model": answer.model,
        "output": output_items(answer.turn_id, answer.items) if output is None else output,
        "usage": usage_fields(answer.usage) if answer.usage else None,
    }


def _error(answer: Answer) -> Fields | None:
    if answer.status != "failed" or answer.reason is None:
        return None  # to have been cancelled is no failure, and OpenAI's API has no code for it
    return response_error(answer.error or error_of(answer.reason))


def usage_fields(usage: Usage) -> Fields:
    """Usage as Responses spells it. Nobody tells what was written to a cache: that is 0."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": 0,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _defaults() -> Fields:
    """Every field there is, as a request that says nothing leaves it."""
    return {
        "id": None,
        "object": None,
        "created_at": None,
        "status": None,
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": None,
        "output": None,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "conversation": None,
        "prompt": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": None,
        "text": {"format": {"type": "text"}, "verbosity": None},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
        **dict.fromkeys(_OPENAIS_OWN),
    }


_OPENAIS_OWN = (
    "access_programs",
    "image",
    "input_transformations",
    "moderation",
    "prompt_cache_diagnostics",
    "prompt_cache_options",
    "tool_usage",
)
"""What only OpenAI's own service can have something to say about."""
