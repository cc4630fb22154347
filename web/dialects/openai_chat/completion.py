"""Builds the `chat.completion` object that answers a non-streaming request."""

import msgspec
from msgspec import Raw

from actors.answer.builder import AnswerBuilder, fold
from actors.finalisation.outcome_decision import tool_call
from actors.turn.events import AnyEvent, Ended, Started
from web.dialects.base import DialectSpec
from web.dialects.openai_chat.opaque_fields import call_fields, message_fields
from web.dialects.openai_chat.stream import (
    FINISH_REASONS,
    NAME,
    OpenAIChat,
    completion_id,
    usage_object,
)


class _Logprobs(msgspec.Struct):
    content: list[Raw] | None = None
    refusal: list[Raw] | None = None


def completion(journal: list[AnyEvent], answer: AnswerBuilder | None = None) -> dict[str, object]:
    """Return the completion object for a complete journal whose end has a finish reason.

    `answer` is the fold of the journal, if there is one already.
    """
    started, ended = journal[0], journal[-1]
    if not isinstance(started, Started) or not isinstance(ended, Ended):
        raise ValueError("the journal must begin with Started and end with Ended")
    answer = answer or fold(journal)
    choice: dict[str, object] = {
        "index": 0,
        "message": _message(answer),
        "logprobs": _logprobs(answer),
        "finish_reason": FINISH_REASONS[ended.reason],
    }
    return {
        "id": completion_id(started.turn_id),
        "object": "chat.completion",
        "created": int(started.created_at),
        "model": ended.upstream_model or started.model,
        "choices": [choice],
        "usage": usage_object(ended.usage) if ended.usage else None,
    }


def _message(answer: AnswerBuilder) -> dict[str, object]:
    calls = [tool_call(call) | call_fields(call.extras) for call in answer.tool_calls]
    refusal, reasoning = answer.refusal or None, answer.reasoning
    text = answer.text or (None if calls or refusal else "")
    message: dict[str, object] = {"role": "assistant", "content": text, "refusal": refusal}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    return message | message_fields(answer.items)


def _logprobs(answer: AnswerBuilder) -> dict[str, object] | None:
    objects = [_read_logprobs(raw) for raw in answer.logprobs]
    if not objects:
        return None
    return {
        "content": [entry for part in objects for entry in part.content or ()],
        "refusal": None,
    }


def _read_logprobs(raw: str) -> _Logprobs:
    try:
        return msgspec.json.decode(raw, type=_Logprobs)
    except msgspec.DecodeError:
        return _Logprobs()  # malformed logprobs of a provider must not fail a complete answer


DIALECT = DialectSpec(
    name=NAME,
    stream=OpenAIChat,
    whole=lambda journal, options, answer: completion(journal, answer),
    finishes=frozenset(FINISH_REASONS),
)
