"""Builds the `chat.completion` object that answers a non-streaming request."""

import msgspec
from msgspec import Raw

from actors.finalisation.outcome_decision import tool_call
from actors.journal.journal import after_last
from actors.turn import events
from actors.turn.events import AnyEvent, Ended, Started
from web.dialects.openai_chat.stream import FINISH_REASONS, completion_id, usage_object


class _Logprobs(msgspec.Struct):
    content: list[Raw] | None = None
    refusal: list[Raw] | None = None


def has_finish(ended: Ended) -> bool:
    """Return whether the end has a finish reason; any other end is an error response."""
    return ended.reason in FINISH_REASONS


def completion(journal: list[AnyEvent]) -> dict[str, object]:
    """Return the completion object for a complete journal whose end `has_finish`."""
    started, ended = journal[0], journal[-1]
    if not isinstance(started, Started) or not isinstance(ended, Ended):
        raise ValueError("the journal must begin with Started and end with Ended")
    final = after_retry(journal)
    choice: dict[str, object] = {
        "index": 0,
        "message": _message(final),
        "logprobs": _logprobs(final),
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


def after_retry(journal: list[AnyEvent]) -> list[AnyEvent]:
    """Return the events after the last retry, which discards everything before it."""
    begun = after_last(journal, events.Retry)
    return journal[begun:] if begun else journal


def _message(journal: list[AnyEvent]) -> dict[str, object]:
    text, reasoning, refusal = _Joined(), _Joined(), _Joined()
    calls: list[dict[str, object]] = []
    for event in journal:
        match event:
            case events.Text(delta):
                text.add(delta)
            case events.Reasoning(delta):
                reasoning.add(delta)
            case events.Refusal(delta):
                refusal.add(delta)
            case events.Replace(replacement):
                text.parts = [replacement]
            case events.ToolCall():
                calls.append(tool_call(event))
            case _:
                pass
    content = text.value if text.parts or calls or refusal.parts else ""
    message: dict[str, object] = {"role": "assistant", "content": content}
    message["refusal"] = refusal.value
    if reasoning.parts:
        message["reasoning_content"] = reasoning.value
    if calls:
        message["tool_calls"] = calls
    return message


def _logprobs(journal: list[AnyEvent]) -> dict[str, object] | None:
    found = [e.logprobs for e in journal if type(e) is events.Text and e.logprobs is not None]
    if not found:
        return None
    objects = [_read_logprobs(raw) for raw in found]
    return {
        "content": [entry for part in objects for entry in part.content or ()],
        "refusal": None,
    }


def _read_logprobs(raw: str) -> _Logprobs:
    try:
        return msgspec.json.decode(raw, type=_Logprobs)
    except msgspec.DecodeError:
        return _Logprobs()  # malformed logprobs of a provider must not fail a complete answer


class _Joined:
    """Collects the pieces of one text; its value is None if there were none."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def add(self, piece: str) -> None:
        self.parts.append(piece)

    @property
    def value(self) -> str | None:
        return "".join(self.parts) if self.parts else None
