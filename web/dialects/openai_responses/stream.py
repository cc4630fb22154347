"""Renders the Responses stream of OpenAI's API: events of a response, its items and parts.

A frame's number is its event's `sequence_number`. The last event is `response.completed`,
`response.incomplete` or `response.failed`, followed by `[DONE]`. An answer that was restarted after
part of it had been streamed ends in `response.failed`, since the dialect cannot discard streamed
text. An `error` event precedes it, because some clients look only for that. If a guard replaces
text that was streamed, only the last event has the replacement. Warnings and route
changes are comments, since the API has no event for them.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import msgspec
from msgspec import Raw, structs

from actors.answer.builder import AnswerBuilder
from actors.answer.changes import Change
from actors.answer.items import items_of
from actors.runtime.offload import Cost, is_much
from actors.turn import events
from actors.turn.events import AnyEvent, Ended, Event, Text
from actors.turn.model_call import JSON
from actors.turn.outcome import Reason
from web.dialects.base import DialectSpec, DialectStream
from web.dialects.frames import DONE, START, Cursor
from web.dialects.openai_responses import response
from web.dialects.openai_responses.events import ResponseEvents
from web.dialects.openai_responses.items import Fields
from web.dialects.turn_errors import ANSWER_REPLACED

NAME = "openai-responses"

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode

_LAST_EVENTS = {"completed": "response.completed", "incomplete": "response.incomplete"}


class Responses(DialectStream):
    """A Responses stream of one turn, after the cursor `after`.

    `options["echo"]` holds the fields of the response object that repeat the request.
    """

    def __init__(self, options: Mapping[str, JSON], after: Cursor = START) -> None:
        super().__init__(NAME, after)
        self._options = options
        self._take = self.numbering.take
        self._renderer = ResponseEvents(self.numbering)
        self._builder = AnswerBuilder()
        self._answer: response.ResponseData
        """The answer so far without its items; set by `started`."""
        self._said: type[Event] | None = None
        """The event type that only adds a piece to the open part, or None."""
        self._pieces: list[str] = []
        """The pieces of the open part."""
        self._has_text = False
        """True if there was a text, which may be empty since a guard replaced it."""
        self._replaced = False
        """True if a guard has replaced text that was streamed."""
        self._warnings: list[JSON] = []
        """Warnings so far, for the last event; the objects of other answers have them, too."""
        self._form = b""
        """The `%` format for the frame of a piece of the open part."""
        self._last: deque[Callable[[], bytes]] = deque()
        """Functions that render the last frames, which may be large."""

    @property
    def repeats_much(self) -> bool:
        """True if the last events, which repeat the whole answer, take more than 5 ms."""
        size = self._renderer.weight + sum(map(len, self._pieces))
        return is_much(size, Cost.TEXT)

    def _render(self, event: AnyEvent) -> bytes:
        kind = type(event)
        if kind is self._said and (kind is not Text or event.logprobs is None):  # type: ignore[union-attr]
            delta = event.delta  # type: ignore[union-attr]
            self._pieces.append(delta)
            number = self._take()
            return self._form % (number, number, _encode(delta)) if number >= 0 else b""
        return self._render_other(event)

    def _render_other(self, event: AnyEvent) -> bytes:
        match event:
            case events.Started():
                return self._begin(event)
            case events.RouteChanged(provider, upstream_model, reason):
                self._answer = structs.replace(self._answer, model=upstream_model)
                changed = f"route {provider}/{upstream_model} after {reason}"
                return self.numbering.comment(changed)
            case events.Recovered(epoch):
                return self._recover(epoch)
            case events.Warning(code, message):
                self._warnings.append({"code": code, "message": message})
                return self.numbering.comment(f"warning {code} {message}")
            case Ended():
                return self._end(event)
            case events.Replace():
                return self._replace(event)
            case _:
                return self._content(event)

    def _begin(self, started: events.Started) -> bytes:
        self._answer = response.answer_of([started])
        self._builder.feed(started)
        renderer = self._renderer
        renderer.begin(started.turn_id)
        # Encoded once for both events: the object repeats large parts of the request.
        fields: Fields = {"response": Raw(_encode(self._object(self._answer)))}
        created = renderer.event("response.created", fields)
        return created + renderer.event("response.in_progress", fields)

    def _recover(self, epoch: int) -> bytes:
        self.numbering.new_epoch(epoch)
        self._renderer.set_forms()
        self._form = self._renderer.form
        return self.numbering.comment("recovered, the tail of this answer was lost")

    def _replace(self, event: events.Replace) -> bytes:
        if not self._has_text:
            return self._content(Text(event.text))
        self.numbering.replaced(event)
        self._builder.feed(event)
        self._replaced = True
        self._said = None
        return b""

    def _content(self, event: AnyEvent) -> bytes:
        self._has_text |= isinstance(event, Text)
        if self.discarded or self._builder.discards(event):
            self.discarded = True
            self._said = None
            return b""
        if self._replaced:
            self._builder.feed(event)
            return b""
        return self._render_changes(self._builder.feed(event))

    def _render_changes(self, changes: list[Change]) -> bytes:
        frames = b"".join([self._renderer.change(change) for change in changes])
        self._said, self._pieces = self._builder.delta_event, self._builder.pieces
        self._form = self._renderer.form
        return frames

    def _end(self, ended: Ended) -> bytes:
        answer = self._answer.ended(ended)
        if self.discarded:
            answer = structs.replace(answer, reason=Reason.UPSTREAM_ERROR, error=ANSWER_REPLACED)
            changes = self._builder.end(whole=False)
        else:
            changes = self._builder.feed(ended)
        if self._replaced:
            changes, answer = [], structs.replace(answer, items=items_of(self._builder))
        long = self.repeats_much
        self._said = None
        self._last.extend(partial(self._renderer.change, change) for change in changes)
        self._last.append(partial(self._finish, answer))
        return self._more() if long else b"".join([frames() for frames in self._take_last()])

    def _finish(self, answer: response.ResponseData) -> bytes:
        name = _LAST_EVENTS.get(answer.status, "response.failed")
        error = response.answer_error(answer)
        frames = self._renderer.event("error", _error_event(error)) if error else b""
        whole = self._object(answer)
        if self._warnings:  # a WebSocket has no comments
            whole["warnings"] = self._warnings
        frames += self._renderer.event(name, {"response": whole})
        return frames and frames + DONE

    def _take_last(self) -> Iterator[Callable[[], bytes]]:
        while self._last:
            yield self._last.popleft()

    def _more(self) -> bytes:
        """Return the next of the last frames, as many as take 5 ms."""
        parts: list[bytes] = []
        size = 0
        for frames in self._take_last():
            parts.append(frames())
            size += len(parts[-1])
            if is_much(size, Cost.TEXT):
                break
        self.pending = bool(self._last)
        return b"".join(parts)

    def _object(self, answer: response.ResponseData) -> Fields:
        output = None if self._replaced else self._renderer.output
        return response.object_of(answer, self._options, output)


def _error_event(error: Fields) -> Fields:
    """Return the fields of an `error` event for the error of a response.

    The API reference has them in the event. The API sends them in `error`, for which the SDKs look.
    """
    return {**{name: error[name] for name in ("code", "message", "param")}, "error": error}


DIALECT = DialectSpec(
    name=NAME, stream=Responses, whole=response.response_object, finishes=response.ANSWER_REASONS
)
