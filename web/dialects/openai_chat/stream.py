"""Renders the Chat Completions stream of OpenAI's API.

The stream is `chat.completion.chunk` objects and `[DONE]`, which is sent only after a finish
reason. Any other end is one `error` object, so that no client takes a truncated answer for a
complete one. An answer that was restarted after part of it had been streamed ends the same way,
since the dialect cannot discard streamed text. Text that a guard replaces too late stays as it was
sent, and the answer ends with `content_filter`. Warnings are comments: SDKs read every named event
as a chunk.
"""

from collections.abc import Callable, Mapping

import msgspec

from actors.turn import events
from actors.turn.events import AnyEvent, Ended, Text
from actors.turn.model_call import JSON
from actors.turn.outcome import Reason, Usage
from web.dialects.base import DialectStream
from web.dialects.frames import START, Cursor
from web.dialects.openai_chat.opaque_fields import annotation_fields, call_fields, state_fields
from web.dialects.turn_errors import ANSWER_REPLACED, ending_error, error_body

NAME = "openai-chat"

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode

FINISH_REASONS = {
    Reason.STOP: "stop",
    Reason.LENGTH: "length",
    Reason.TOOL_CALLS: "tool_calls",
    Reason.CONTENT_FILTER: "content_filter",
    Reason.PAUSE_TURN: "stop",
    Reason.SIZE_LIMIT: "length",
    Reason.GUARD_BLOCKED: "content_filter",
    Reason.GUARD_REJECTED: "content_filter",
}
"""Finish reasons by the reason of the turn's end; all other reasons are errors."""


class OpenAIChat(DialectStream):
    """A Chat Completions stream of one turn, after the cursor `after`."""

    def __init__(self, options: Mapping[str, JSON], after: Cursor = START) -> None:
        super().__init__(NAME, after)
        self._include_usage = options.get("include_usage") is True
        self._frame = self.numbering.frame
        self._head = b""
        self._tail = b""
        self._text_head = b""
        self._text_tail = b""
        self._role_sent = False
        self._reasoning: list[str] = []
        """Reasoning whose state has not come yet."""
        self._plain = False
        """Text needs only a delta frame: the role was sent and nothing was discarded."""

    def _render(self, event: AnyEvent) -> bytes:
        if type(event) is Text and self._plain and event.logprobs is None:
            return self._frame(self._text_head + _encode(event.delta) + self._text_tail)
        return self._render_other(event)

    def _render_other(self, event: AnyEvent) -> bytes:
        match event:
            case events.Started():
                self._begin(event)
            case events.RouteChanged(_, upstream_model):
                self._model = upstream_model
                self._set_forms()
            case events.Recovered(epoch):
                self.numbering.new_epoch(epoch)
                return self.numbering.comment("recovered, the tail of this answer was lost")
            case events.Replace(text):
                frames = b"" if self._role_sent else self._role() + self._chunk({"content": text})
                self.numbering.replaced(event)
                return frames
            case events.Retry():
                self.discarded = self._role_sent
                self._plain = False
            case events.Warning(code, message):
                return self.numbering.comment(f"warning {code} {message}")
            case Ended():
                return self._end(event)
            case _:
                delta = None if self.discarded else self._delta(event)
                return b"" if delta is None else self._role() + self._chunk(delta, _logprobs(event))
        return b""

    def _begin(self, started: events.Started) -> None:
        self._id = completion_id(started.turn_id)
        self._created = int(started.created_at)
        self._model = started.upstream_model or started.model
        self._set_forms()

    def _set_forms(self) -> None:
        head = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
        }
        self._head = _encode(head)[:-1] + b',"choices":'
        self._tail = b',"usage":null}' if self._include_usage else b"}"
        self._text_head = self._head + b'[{"index":0,"delta":{"content":'
        self._text_tail = b'},"finish_reason":null}]' + self._tail

    def _delta(self, event: AnyEvent) -> dict[str, object] | None:
        match event:
            case events.Reasoning(delta):
                self._reasoning.append(delta)
            case events.ReasoningState(api, state):
                text = "".join(self._reasoning)
                self._reasoning.clear()
                return state_fields(text, api, state) or None
        return _delta(event)

    def _role(self) -> bytes:
        if self._role_sent:
            return b""
        self._role_sent = self._plain = True
        return self._chunk({"role": "assistant", "content": ""})

    def _chunk(
        self,
        delta: dict[str, object],
        logprobs: msgspec.Raw | None = None,
        finish: str | None = None,
    ) -> bytes:
        choice: dict[str, object] = {"index": 0, "delta": delta, "finish_reason": finish}
        if logprobs is not None:
            choice["logprobs"] = logprobs
        return self._frame(self._head + _encode([choice]) + self._tail)

    def _end(self, ended: Ended) -> bytes:
        finish = FINISH_REASONS.get(ended.reason)
        if self.discarded:
            return self._frame(_encode(error_body(ANSWER_REPLACED)))
        if finish is None:
            return self._frame(_encode(error_body(ending_error(ended))))
        frames = self._role() + self._chunk({}, finish=finish)
        if self._include_usage and ended.usage is not None:
            usage = _encode(usage_object(ended.usage))
            frames += self._frame(self._head + b'[],"usage":' + usage + b"}")
        return frames + self._frame(b"[DONE]")


def completion_id(turn_id: str) -> str:
    """Return the id of the completion object of a turn."""
    return "chatcmpl-" + turn_id.removeprefix("turn_")


def usage_object(usage: Usage) -> dict[str, object]:
    """Return usage in the form of the Chat Completions API."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _delta(event: AnyEvent) -> dict[str, object] | None:
    match event:
        case Text(delta):
            return {"content": delta}
        case events.Reasoning(delta):
            return {"reasoning_content": delta}
        case events.Refusal(delta):
            return {"refusal": delta}
        case events.Annotation(annotation):
            return annotation_fields(annotation)
        case events.ToolCallDelta():
            return {"tool_calls": [_tool_call_piece(event)]}
        case _:
            return None


def _logprobs(event: AnyEvent) -> msgspec.Raw | None:
    if not isinstance(event, Text) or event.logprobs is None:
        return None
    return msgspec.Raw(event.logprobs.encode())


def _tool_call_piece(event: events.ToolCallDelta) -> dict[str, object]:
    field = "arguments" if event.kind == "function" else "input"
    call: dict[str, object] = {field: event.arguments}
    piece: dict[str, object] = {"index": event.index, event.kind: call}
    if event.id is not None:
        piece |= {"id": event.id, "type": event.kind}
    if event.name is not None:
        call["name"] = event.name
    return piece | call_fields(event.extras)
