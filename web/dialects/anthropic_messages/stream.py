"""Renders the Messages stream of Anthropic's API.

The stream is `message_start`, content blocks, `message_delta` and `message_stop`. An end without a
stop reason is an `error` event with nothing after it, so that no client takes a truncated answer
for a complete one. An answer that was restarted after part of it had been streamed ends the same
way, since the dialect cannot discard streamed text. Text that a guard replaces too late stays as it
was sent, and the answer ends with `refusal`. Warnings and route changes are comments.
Source: Anthropic's API reference, "Streaming messages".
"""

from collections.abc import Callable, Mapping

import msgspec

from actors.turn import events
from actors.turn.events import AnyEvent, Ended, Started, Text
from actors.turn.model_call import JSON
from actors.turn.outcome import ErrorInfo, Reason, Usage
from web.dialects.anthropic_messages.blocks import BlockEvent, Blocks
from web.dialects.anthropic_messages.errors import error_event
from web.dialects.base import DialectStream
from web.dialects.frames import START, Cursor
from web.dialects.turn_errors import ANSWER_REPLACED, ending_error

NAME = "anthropic-messages"
PING = b'event: ping\ndata: {"type":"ping"}\n\n'
"""A heartbeat; this dialect has an event for it."""

STOP_REASONS = {
    Reason.STOP: "end_turn",
    Reason.LENGTH: "max_tokens",
    Reason.TOOL_CALLS: "tool_use",
    Reason.CONTENT_FILTER: "refusal",
    Reason.PAUSE_TURN: "pause_turn",
    Reason.SIZE_LIMIT: "max_tokens",
    Reason.GUARD_BLOCKED: "refusal",
    Reason.GUARD_REJECTED: "refusal",
}
"""Stop reasons by the reason of the turn's end; all other reasons are errors.

A stop at a stop sequence is `end_turn` too: providers don't say which sequence they met."""

_DELTA = b"content_block_delta"

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


class Messages(DialectStream):
    """A Messages stream of one turn, after the cursor `after`."""

    def __init__(self, options: Mapping[str, JSON], after: Cursor = START) -> None:
        super().__init__(NAME, after)
        self._event = self.numbering.event
        self._started: Started | None = None
        self._blocks = Blocks()
        self._begun = False
        self._plain = False
        """Text needs only a delta frame: its block is open and nothing was discarded."""
        self._text_head = b""
        self._ending: Ended
        """The end of the turn; set by `_stop`."""

    heartbeat = PING

    def _more(self) -> bytes:
        return self._show(self._blocks.more()) + self._stop(self._ending) if self.pending else b""

    def _render(self, event: AnyEvent) -> bytes:
        if type(event) is Text and self._plain and event.delta:
            return self._event(_DELTA, self._text_head + _encode(event.delta) + b"}}")
        return self._render_other(event)

    def _render_other(self, event: AnyEvent) -> bytes:
        match event:
            case Started():
                self._started = event
                self._blocks.feed(event)
            case events.RouteChanged(provider, upstream_model, reason):
                return self.numbering.comment(f"route {provider}/{upstream_model} {reason}")
            case events.Recovered(epoch):
                self.numbering.new_epoch(epoch)
                return self.numbering.comment("recovered, the tail of this answer was lost")
            case events.Replace(text):
                shown = self._blocks.end() if self._begun else self._blocks.feed(Text(text))
                frames = self._begin() + self._show(shown)
                self.numbering.replaced(event)
                return frames
            case events.Retry() if self._begun:
                self.discarded = True
                self._plain = False
            case events.Warning(code, message):
                return self.numbering.comment(f"warning {code} {message}")
            case Ended():
                return self._end(event)
            case _:
                return b"" if self.discarded else self._show(self._blocks.feed(event))
        return b""

    def _show(self, shown: list[BlockEvent]) -> bytes:
        frames = [self._begin()] if shown else []
        frames += [self._named(event.name, **event.fields) for event in shown]
        index = self._blocks.text_index
        self._plain = index is not None
        if index is not None:
            head = '{"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":'
            self._text_head = (head % index).encode()
        return b"".join(frames)

    def _begin(self) -> bytes:
        if self._begun or self._started is None:
            return b""
        self._begun = True
        start = message_object(self._started)
        return self._named("message_start", message=start)

    def _end(self, ended: Ended) -> bytes:
        reason = STOP_REASONS.get(ended.reason)
        if self.discarded:
            return self._error(ANSWER_REPLACED)
        if reason is None:
            return self._error(ending_error(ended))
        frames = self._begin() + self._show(self._blocks.feed(ended))
        frames += self._show(self._blocks.more())
        return frames + self._stop(ended)

    def _stop(self, ended: Ended) -> bytes:
        """Return the last frames, or b"" while other frames have to precede them."""
        self._ending, self.pending = ended, self._blocks.behind
        if self.pending:
            return b""
        delta = stopped(ended)
        frames = self._named("message_delta", delta=delta, usage=usage_delta(ended.usage))
        return frames + self._named("message_stop")

    def _error(self, info: ErrorInfo) -> bytes:
        return self._event(b"error", _encode(error_event(info)))

    def _named(self, name: str, **fields: object) -> bytes:
        return self._event(name.encode(), _encode({"type": name, **fields}))


def message_id(turn_id: str) -> str:
    """Return the id of the Message object of a turn."""
    return "msg_" + turn_id.removeprefix("turn_")


def message_object(started: Started) -> dict[str, object]:
    """Return the Message object at its start, with an estimate of the input tokens.

    Its model is the one that the client asked for: Claude Code doesn't send back the thinking of
    another model. The answering route is in a header and in the turn.
    """
    return {
        "id": message_id(started.turn_id),
        "type": "message",
        "role": "assistant",
        "model": started.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage_object(Usage(input_tokens=started.input_estimate, output_tokens=0)),
    }


def stopped(ended: Ended) -> dict[str, object]:
    """Return the fields of a message that say why it ended."""
    sequence, reason = ended.stop_sequence, STOP_REASONS[ended.reason]
    if sequence is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    fields: dict[str, object] = {"stop_reason": reason, "stop_sequence": None}
    if reason == "refusal":
        fields["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    return fields


def usage_object(usage: Usage) -> dict[str, object]:
    """Return usage in the form of the Messages API.

    `input_tokens` excludes tokens that were read from a cache or written to one.
    """
    cache = usage.cached_input_tokens + usage.cache_write_tokens
    return {
        "input_tokens": max(0, usage.input_tokens - cache),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def usage_delta(usage: Usage | None) -> dict[str, object]:
    """Return the usage of `message_delta`.

    Without usage it has only the required field, so the figures of `message_start` stay valid.
    """
    return {"output_tokens": 0} if usage is None else usage_object(usage)
