"""Defines what a dialect consists of: its stream, and the object for non-streaming requests."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from actors.answer.builder import AnswerBuilder
from actors.turn.events import AnyEvent
from actors.turn.model_call import JSON
from actors.turn.outcome import Reason
from web.dialects.frames import PING, Cursor, Numbering, comment

Options = Mapping[str, JSON]
"""The dialect's options from the client's request, as stored with the turn."""


class DialectStream:
    """Base of the streams of one turn in one dialect, which render each event on its own."""

    heartbeat = PING
    pending = False
    """True if the last event has more frames than `render` returned at once."""
    discarded = False
    """True if streamed content was discarded later, so that the stream ends in an error."""

    def __init__(self, dialect: str, after: Cursor) -> None:
        self.numbering = Numbering(dialect, after)

    @property
    def repeats_much(self) -> bool:
        """True if the last frames repeat so much text that rendering takes more than 5 ms."""
        return False

    def comment(self, text: str) -> bytes:
        """Return `text` as a comment line."""
        return comment(text)

    def render(self, batch: list[AnyEvent]) -> bytes:
        """Return the frames of these events; they depend only on the events so far.

        Without events, return the next of the frames that are `pending`.
        """
        if len(batch) == 1:
            return self._render(batch[0])
        if not batch:
            return self._more()
        return b"".join([self._render(event) for event in batch])

    def _render(self, event: AnyEvent) -> bytes:
        """Return the frames of one event."""
        raise NotImplementedError

    def _more(self) -> bytes:
        """Return the next of the frames that are `pending`."""
        return b""


Render = Callable[[Cursor], DialectStream]
"""Starts the stream of a turn after the cursor."""


class DialectSpec(Struct, frozen=True):
    """Specification of one dialect."""

    name: str
    """The name used in turns and in frame ids."""
    stream: Callable[[Options, Cursor], DialectStream]
    """Starts a stream after the cursor."""
    whole: Callable[[list[AnyEvent], Options, AnswerBuilder | None], dict[str, object]]
    """Builds the object for a non-streaming request from the journal of an ended turn.

    The last argument is the fold of that journal, if it is known.
    """
    finishes: frozenset[Reason]
    """Reasons that the object and a stream without content can express.

    Any other end is an error response.
    """
