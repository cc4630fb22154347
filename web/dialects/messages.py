"""The Messages stream: `message_start`, content blocks, `message_delta`, `message_stop`.

An end that is no stop reason is an `error` event and nothing after it, so that no client can take
a truncated answer for a whole one. So is the end of an answer that was begun anew after some of
it had been shown, since nothing can be taken back here. Warnings and changes of the route are
comments. Source: Anthropic's API reference, "Streaming messages".
"""

from collections.abc import Callable, Mapping

import msgspec

from actors import events
from actors.events import AnyEvent, Ended, Started, Text
from actors.outcome import ErrorInfo, Reason, Usage
from actors.providers.base import JSON
from web.dialects.frames import START, Cursor, Numbering, comment
from web.dialects.messages_blocks import Begin, Blocks, End, Grow, Step
from web.dialects.messages_errors import error_event
from web.dialects.openai_chat import TAKEN_BACK
from web.errors import ending_error

NAME = "anthropic-messages"
PING = b'event: ping\ndata: {"type":"ping"}\n\n'
"""A heartbeat, for which this grammar has an event of its own."""

STOP_REASONS = {
    Reason.STOP: "end_turn",
    Reason.LENGTH: "max_tokens",
    Reason.TOOL_CALLS: "tool_use",
    Reason.CONTENT_FILTER: "refusal",
    Reason.SIZE_LIMIT: "max_tokens",
    Reason.GUARD_BLOCKED: "refusal",
}
"""The ends that this dialect can express; all others are errors. Providers do not tell which stop
sequence they met, so that this is an `end_turn` too."""

_DELTA = b"content_block_delta"

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


class Messages:
    """Renders events as frames of a Messages stream after the cursor `after`."""

    def __init__(self, options: Mapping[str, JSON], after: Cursor = START) -> None:
        self.numbering = Numbering(NAME, after)
        self._event = self.numbering.event
        self._started: Started | None = None
        self._model = ""
        self._blocks = Blocks()
        self._begun = False
        self.taken_back = False
        self._plain = False
        """Text needs nothing but its frame: its block is open, and nothing taken back."""
        self._text_head = b""
        self._ending: Ended | None = None
        """The end, while something is to be shown before it."""

    heartbeat = PING
    repeats_much = False

    def comment(self, text: str) -> bytes:
        """A comment line."""
        return comment(text)

    @property
    def pending(self) -> bool:
        """Whether the end is still to be told, by `render` without further events."""
        return self._ending is not None

    def render(self, batch: list[AnyEvent]) -> bytes:
        """The frames of these events; a pure function of all events given so far."""
        if len(batch) == 1:
            return self._render(batch[0])
        if self._ending is not None and not batch:
            return self._show(self._blocks.more()) + self._stop(self._ending)
        return b"".join([self._render(event) for event in batch])

    def _render(self, event: AnyEvent) -> bytes:
        if type(event) is Text and self._plain and event.delta:
            return self._event(_DELTA, self._text_head + _encode(event.delta) + b"}}")
        return self._rarer(event)

    def _rarer(self, event: AnyEvent) -> bytes:
        match event:
            case Started():
                self._started = event
                self._model = event.upstream_model or event.model
                self._blocks.feed(event)
            case events.RouteChanged(provider, upstream_model, reason):
                self._model = upstream_model
                return self.numbering.comment(f"route {provider}/{upstream_model} {reason}")
            case events.Recovered(epoch):
                self.numbering.new_epoch(epoch)
                return self.numbering.comment("recovered, the tail of this answer was lost")
            case events.Retry() | events.Replace() if self._begun:
                self.taken_back = True
                self._plain = False
            case events.Warning(code, message):
                return self.numbering.comment(f"warning {code} {message}")
            case Ended():
                return self._end(event)
            case _:
                return b"" if self.taken_back else self._show(self._blocks.feed(event))
        return b""

    def _show(self, steps: list[Step]) -> bytes:
        frames = [self._step(step) for step in steps]
        index = self._blocks.text_index
        self._plain = index is not None
        if index is not None:
            head = '{"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":'
            self._text_head = (head % index).encode()
        return b"".join(frames)

    def _step(self, step: Step) -> bytes:
        start = self._begin()
        match step:
            case Begin(index, block):
                return start + self._named("content_block_start", index=index, content_block=block)
            case Grow(index, kind, field, text):
                delta = {"type": kind, field: text}
                return start + self._named("content_block_delta", index=index, delta=delta)
            case End(index):
                return start + self._named("content_block_stop", index=index)

    def _begin(self) -> bytes:
        if self._begun or self._started is None:
            return b""
        self._begun = True
        start = message_object(self._started, self._model)
        return self._named("message_start", message=start)

    def _end(self, ended: Ended) -> bytes:
        reason = STOP_REASONS.get(ended.reason)
        if self.taken_back:
            return self._error(TAKEN_BACK)
        if reason is None:
            return self._error(ending_error(ended))
        frames = self._begin() + self._show(self._blocks.feed(ended))
        frames += self._show(self._blocks.more())
        return frames + self._stop(ended)

    def _stop(self, ended: Ended) -> bytes:
        """The end, unless there is still something to be shown before it."""
        self._ending = ended if self._blocks.behind else None
        if self._ending is not None:
            return b""
        delta = stopped(STOP_REASONS[ended.reason])
        frames = self._named("message_delta", delta=delta, usage=usage_delta(ended.usage))
        return frames + self._named("message_stop")

    def _error(self, info: ErrorInfo) -> bytes:
        return self._event(b"error", _encode(error_event(info)))

    def _named(self, name: str, **fields: object) -> bytes:
        return self._event(name.encode(), _encode({"type": name, **fields}))


def message_id(turn_id: str) -> str:
    """The id of the message that shows this turn."""
    return "msg_" + turn_id.removeprefix("turn_")


def message_object(started: Started, model: str) -> dict[str, object]:
    """The message as it begins; its usage is what is known then."""
    return {
        "id": message_id(started.turn_id),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage_object(Usage(input_tokens=started.input_estimate, output_tokens=0)),
    }


def stopped(reason: str) -> dict[str, object]:
    """Why the message ends, as fields of it."""
    said: dict[str, object] = {"stop_reason": reason, "stop_sequence": None}
    if reason == "refusal":
        said["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    return said


def usage_object(usage: Usage) -> dict[str, object]:
    """Usage as Messages spells it: tokens read from a cache are no `input_tokens`.

    What was written to a cache is not told apart, and is among them.
    """
    return {
        "input_tokens": max(0, usage.input_tokens - usage.cached_input_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def usage_delta(usage: Usage | None) -> dict[str, object]:
    """What the message came to; without any figures `message_start`'s stand."""
    return {"output_tokens": 0} if usage is None else usage_object(usage)
