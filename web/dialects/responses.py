"""The Responses stream: typed events about a response, its items and their parts.

A frame's number is its event's `sequence_number`. The stream ends in `response.completed` or
`response.incomplete` where the answer can be told to have ended, and in `response.failed`
otherwise; so does an answer that was begun anew after some of it had been shown, since nothing
can be taken back here. The grammar's `error` event is not used: `response.failed` says more.
Warnings and changes of route are comments, since the grammar has no place for them.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import msgspec
from msgspec import Raw, structs

from actors import events
from actors.answer_growth import AnswerGrowth
from actors.answer_parts import Change
from actors.events import AnyEvent, Ended, Event, Text
from actors.outcome import ErrorInfo, Reason
from actors.providers.base import JSON
from web.dialects.frames import PING, START, Cursor, Numbering, comment
from web.dialects.response_object import Answer, answer_of, object_of
from web.dialects.responses_events import ResponseEvents
from web.dialects.responses_items import Fields

NAME = "openai-responses"

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode

_TAKEN_BACK = ErrorInfo(
    status=502,
    message="The answer was begun anew, which this stream cannot show; GET the response for it.",
    type="upstream_error",
    code="answer_replaced",
)
_LONG = 262_144
"""Characters that are repeated in 3 ms."""
_LAST_EVENTS = {"completed": "response.completed", "incomplete": "response.incomplete"}


class Responses:
    """Renders events as Responses frames after the cursor `after`.

    `options["echo"]` has the fields of the response object that repeat the request.
    """

    def __init__(self, options: Mapping[str, JSON], after: Cursor = START) -> None:
        self._options = options
        self.numbering = Numbering(NAME, after)
        self._take = self.numbering.take
        self._spelling = ResponseEvents(self.numbering)
        self._growth = AnswerGrowth()
        self._answer: Answer
        """What is known without its items, from `started` on."""
        self._said: type[Event] | None = None
        """Events of this type are but another piece of what is open, …"""
        self._pieces: list[str] = []
        """… which goes here, …"""
        self._form = b""
        """… and this makes its frame."""
        self.taken_back = False
        self._last: deque[Callable[[], bytes]] = deque()
        """Make the last frames, which may be long."""

    heartbeat = PING

    @property
    def pending(self) -> bool:
        """Whether some of the last events are still to be told, by `render` without events."""
        return bool(self._last)

    def comment(self, text: str) -> bytes:
        """A comment line."""
        return comment(text)

    @property
    def repeats_much(self) -> bool:
        """Whether the last events, each of which repeats what was said, take more than 5 ms."""
        said = self._spelling.weight + sum(map(len, self._pieces))
        return said > _LONG

    def render(self, batch: list[AnyEvent]) -> bytes:
        """The frames of these events; a pure function of all events given so far."""
        if len(batch) == 1:
            return self._render(batch[0])
        if not batch:
            return self._more()
        return b"".join([self._render(event) for event in batch])

    def _render(self, event: AnyEvent) -> bytes:
        kind = type(event)
        if kind is self._said and (kind is not Text or event.logprobs is None):  # type: ignore[union-attr]
            delta = event.delta  # type: ignore[union-attr]
            self._pieces.append(delta)
            number = self._take()
            return self._form % (number, number, _encode(delta)) if number >= 0 else b""
        return self._rarer(event)

    def _rarer(self, event: AnyEvent) -> bytes:
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
                return self.numbering.comment(f"warning {code} {message}")
            case Ended():
                return self._end(event)
            case _:
                return self._say(event)

    def _begin(self, started: events.Started) -> bytes:
        self._answer = answer_of([started])
        self._growth.feed(started)
        spelling = self._spelling
        spelling.begin(started.turn_id)
        # The object repeats all that the request had, so that it is encoded only once.
        response: Fields = {"response": Raw(_encode(self._object(self._answer)))}
        created = spelling.event("response.created", response)
        return created + spelling.event("response.in_progress", response)

    def _recover(self, epoch: int) -> bytes:
        self.numbering.new_epoch(epoch)
        self._spelling.set_forms()
        self._form = self._spelling.form
        return self.numbering.comment("recovered, the tail of this answer was lost")

    def _say(self, event: AnyEvent) -> bytes:
        if self.taken_back or self._takes_back(event):
            self.taken_back = True
            self._said = None
            return b""
        return self._tell(self._growth.feed(event))

    def _takes_back(self, event: AnyEvent) -> bool:
        match event:
            case events.Retry():
                return bool(self._growth.items)
            case events.Replace():
                return self._growth.has_text
            case _:
                return False

    def _tell(self, changes: list[Change]) -> bytes:
        frames = b"".join([self._spelling.change(change) for change in changes])
        self._said, self._pieces = self._growth.said, self._growth.pieces
        self._form = self._spelling.form
        return frames

    def _end(self, ended: Ended) -> bytes:
        answer = self._answer.ended(ended)
        if self.taken_back:
            answer = structs.replace(answer, reason=Reason.UPSTREAM_ERROR, error=_TAKEN_BACK)
            changes = self._growth.end(whole=False)
        else:
            changes = self._growth.feed(ended)
        long = self.repeats_much
        self._said = None
        self._last.extend(partial(self._spelling.change, change) for change in changes)
        self._last.append(partial(self._finish, answer))
        return self._more() if long else b"".join([frames() for frames in self._take_last()])

    def _finish(self, answer: Answer) -> bytes:
        name = _LAST_EVENTS.get(answer.status, "response.failed")
        return self._spelling.event(name, {"response": self._object(answer)})

    def _take_last(self) -> Iterator[Callable[[], bytes]]:
        while self._last:
            yield self._last.popleft()

    def _more(self) -> bytes:
        """The next of the last frames, as many as are not long."""
        parts: list[bytes] = []
        size = 0
        for frames in self._take_last():
            parts.append(frames())
            size += len(parts[-1])
            if size > _LONG:
                break
        return b"".join(parts)

    def _object(self, answer: Answer) -> Fields:
        return object_of(answer, self._options, self._spelling.output)
