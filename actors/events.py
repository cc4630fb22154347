"""What happens in a turn, as its readers see it: the events of the journal.

An event's number is its place in the journal, counted from 0 without gaps. Dialects render
events and nothing else, so everything that a frame shows stands in one of them.
"""

from msgspec import Struct

from actors.outcome import DisconnectStage, ErrorInfo, Reason, Status, Usage


class Event(Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type"):
    """Base of all events; `type` is the tag in the journal and in the `trouper` dialect."""


class Started(Event, frozen=True, gc=False, tag="started", kw_only=True):
    """The turn is being answered. Emitted when the first route answers, or just before `ended`.

    `provider` and `upstream_model` are None where no route ever answered.
    """

    turn_id: str
    model: str
    provider: str | None
    upstream_model: str | None
    created_at: float
    input_estimate: int = 0
    """About how many tokens were sent: what is charged if the owner of the turn dies."""


class Text(Event, frozen=True, gc=False, tag="text"):
    """Visible text; `logprobs` is the provider's object for it, untouched, as JSON text."""

    delta: str
    logprobs: str | None = None


class Reasoning(Event, frozen=True, gc=False, tag="reasoning"):
    """Thinking that the provider shows."""

    delta: str


class Refusal(Event, frozen=True, gc=False, tag="refusal"):
    """Text of a refusal."""

    delta: str


class ToolCallDelta(Event, frozen=True, gc=False, tag="tool_call_delta"):
    """A piece of the tool call at `index`; `id` and `name` come with its first piece."""

    index: int
    id: str | None
    name: str | None
    arguments: str


class ToolCall(Event, frozen=True, gc=False, tag="tool_call"):
    """The tool call at `index` is whole."""

    index: int
    id: str
    name: str
    arguments: str


class Warning(Event, frozen=True, gc=False, tag="warning"):
    """Something that the caller should know and that does not end the turn."""

    code: str
    message: str


class RouteChanged(Event, frozen=True, gc=False, tag="route_changed"):
    """From here on another route answers; `reason` is why the one before did not."""

    provider: str
    upstream_model: str
    reason: str


class Retry(Event, frozen=True, gc=False, tag="retry"):
    """The answer so far is discarded and asked for again."""

    reason: str


class Replace(Event, frozen=True, gc=False, tag="replace"):
    """All text so far is to be replaced by `text`."""

    text: str
    reason: str


class Blocked(Event, frozen=True, gc=False, tag="blocked"):
    """A guard withholds the rest of the answer."""

    reason: str


class Recovered(Event, frozen=True, gc=False, tag="recovered"):
    """The turn's owner died: what it had said after this point's predecessor is lost.

    Frames from here on belong to `epoch`, so that their ids cannot be taken for lost ones.
    """

    epoch: int


class Ended(Event, frozen=True, gc=False, tag="ended", kw_only=True):
    """The turn is over: exactly one, and the last event."""

    status: Status
    reason: Reason
    usage: Usage | None
    cost_micros: int
    provider: str | None
    upstream_model: str | None
    created_at: float
    first_token_at: float | None
    ended_at: float
    disconnect_stage: DisconnectStage | None = None
    error: ErrorInfo | None = None


AnyEvent = (
    Started
    | Text
    | Reasoning
    | Refusal
    | ToolCallDelta
    | ToolCall
    | Warning
    | RouteChanged
    | Retry
    | Replace
    | Blocked
    | Recovered
    | Ended
)
"""What a journal holds; the type that segments are decoded to."""
