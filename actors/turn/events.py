"""Event types of a turn's journal.

An event's number is its index in the journal, counted from 0 without gaps. Dialects render
only events, so everything that a frame shows comes from one of them.
"""

from msgspec import Struct

from actors.turn.chunks import CallKind
from actors.turn.outcome import DisconnectStage, ErrorInfo, Reason, Status, Usage


class Event(Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type"):
    """The base of all events; `type` is the tag in the journal and in the `trouper` dialect."""

    # `gc=False` on all events: they hold no cycles, and a journal of 200,000 tracked objects
    # would make every garbage collection slower.


class Started(Event, frozen=True, gc=False, tag="started", kw_only=True):
    """The first event: emitted when the first route answers, or else just before `ended`.

    `provider` and `upstream_model` are None if no route answered.
    """

    turn_id: str
    model: str
    provider: str | None
    upstream_model: str | None
    created_at: float
    input_estimate: int = 0
    """Estimated input tokens, charged if the owner of the turn dies."""


class Text(Event, frozen=True, gc=False, tag="text"):
    """A piece of visible text; `logprobs` is the provider's object for it as unchanged JSON."""

    delta: str
    logprobs: str | None = None


class Reasoning(Event, frozen=True, gc=False, tag="reasoning"):
    """A piece of the reasoning that the provider shows."""

    delta: str


class Refusal(Event, frozen=True, gc=False, tag="refusal"):
    """A piece of the text of a refusal."""

    delta: str


class ReasoningState(Event, frozen=True, gc=False, tag="reasoning_state"):
    """The end of a piece of reasoning; see `actors.turn.chunks.ReasoningStateChunk`."""

    api: str
    state: str


class MessagePhase(Event, frozen=True, gc=False, tag="message_phase"):
    """The beginning of a message; see `actors.turn.chunks.MessagePhaseChunk`."""

    phase: str


class Annotation(Event, frozen=True, gc=False, tag="annotation"):
    """A citation of the text so far, as a JSON object in the form of the Responses API."""

    annotation: str


class NativeItem(Event, frozen=True, gc=False, tag="native_item"):
    """A whole item of a kind that one API has; see `actors.turn.chunks.NativeItemChunk`."""

    api: str
    item: str


class ToolCallDelta(Event, frozen=True, gc=False, tag="tool_call_delta"):
    """A piece of the tool call at `index`; all but `arguments` come with the first piece."""

    index: int
    id: str | None
    name: str | None
    arguments: str
    kind: CallKind = "function"
    extras: str | None = None
    """JSON object of fields that one API has, or None."""


class ToolCall(Event, frozen=True, gc=False, tag="tool_call"):
    """The complete tool call at `index`, emitted after its last piece."""

    index: int
    id: str
    name: str
    arguments: str
    kind: CallKind = "function"
    extras: str | None = None


class Warning(Event, frozen=True, gc=False, tag="warning"):
    """A notice for the client that does not end the turn."""

    code: str
    message: str


class RouteChanged(Event, frozen=True, gc=False, tag="route_changed"):
    """A switch to another route; `reason` is the failure kind of the previous one, or `skipped`."""

    provider: str
    upstream_model: str
    reason: str


class Retry(Event, frozen=True, gc=False, tag="retry"):
    """A restart of the answer: everything generated so far is discarded."""

    reason: str


class Replace(Event, frozen=True, gc=False, tag="replace"):
    """A replacement of all text so far by `text`; `reason` is the name of a guard."""

    text: str
    reason: str
    position: int = 0
    """Number of the event. A journal that is read later may have had longer texts before it."""


class Blocked(Event, frozen=True, gc=False, tag="blocked"):
    """A guard's decision to withhold the rest of the answer."""

    reason: str


class Recovered(Event, frozen=True, gc=False, tag="recovered"):
    """A marker of recovery after the owner died: later events of the old owner are lost.

    Frames from here on belong to `epoch`, so their ids differ from those of lost frames.
    """

    epoch: int


class Ended(Event, frozen=True, gc=False, tag="ended", kw_only=True):
    """The end of the turn: always the last event, and exactly one per turn."""

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
    stop_sequence: str | None = None
    """Stop sequence that ended the answer, if the provider named it."""


AnyEvent = (
    Started
    | Text
    | Reasoning
    | ReasoningState
    | Refusal
    | MessagePhase
    | Annotation
    | NativeItem
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
"""Union of all event types; stored segments are decoded to it."""
