"""Accumulator: turns chunks into draft events and enforces the answer's size limits.

The second actor of a turn. The finish passes through unchanged, because the persister decides the
outcome.
"""

from msgspec import Struct

from actors.runtime.batch_channel import Receiver, Sender
from actors.turn import events
from actors.turn.chunks import (
    AnnotationChunk,
    Chunk,
    FinishChunk,
    MessagePhaseChunk,
    NativeItemChunk,
    ReasoningChunk,
    ReasoningStateChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
    WarningChunk,
)
from actors.turn.events import AnyEvent
from actors.turn.outcome import Reason
from actors.turn.state import Turn

Draft = AnyEvent | FinishChunk
"""Item sent from the accumulator to the persister: an event without a number, or the finish."""

_OtherContent = (
    ReasoningChunk
    | ReasoningStateChunk
    | RefusalChunk
    | MessagePhaseChunk
    | AnnotationChunk
    | NativeItemChunk
    | SkippedChunk
    | WarningChunk
)

MAX_LOGPROBS_BYTES = 32 * 1024 * 1024
"""Maximum bytes of `logprobs` in an answer (up to 100 times its text); the rest is omitted."""

MAX_EVENTS = 200_000
"""Maximum number of events in an answer; at about 120 bytes each they take 25 MB of memory."""


class Accumulator:
    """The state of the actor: the room that is left in the answer."""

    __slots__ = (
        *("_bytes_left", "_calls", "_events_left", "_logprobs_left", "_max_bytes", "_turn_id"),
        "full",
    )

    def __init__(self, max_answer_bytes: int, turn_id: str = "") -> None:
        self._max_bytes = max_answer_bytes
        self._turn_id = turn_id
        self._calls: ToolCallRepair | None = None
        """None until a tool is called."""
        self._reset_limits()
        self.full = False
        """True once the answer has exceeded a limit."""

    def _reset_limits(self) -> None:
        """Reset the limits, at the start and after a retry."""
        self._bytes_left = self._max_bytes
        self._events_left = MAX_EVENTS
        self._logprobs_left = MAX_LOGPROBS_BYTES

    def step(self, items: list[Chunk | AnyEvent]) -> list[Draft]:
        """Return the draft events for these chunks and events, in order."""
        drafts: list[Draft] = []
        for item in items:
            if type(item) is TextChunk:
                logprobs = item.logprobs and self._limit_logprobs(drafts, item.logprobs)
                self._grow(drafts, item.text, events.Text(item.text, logprobs))
            else:
                self._step_other(drafts, item)
        return drafts

    def _step_other(self, drafts: list[Draft], item: Chunk | AnyEvent) -> None:
        match item:
            case FinishChunk(reason):
                # An answer that was cut at the limit is incomplete even if the provider finished.
                if not self.full:
                    drafts += [] if self._calls is None else self._calls.missing_arguments(reason)
                    drafts.append(item)
            case UsageChunk():
                pass  # recorded in the step
            case ToolCallChunk(arguments=arguments, extras=extras):
                self._calls = self._calls or ToolCallRepair(self._turn_id)
                self._grow(drafts, arguments + (extras or ""), self._calls.repaired(item))
            case TextChunk():
                raise AssertionError("text is handled by step")
            case events.Event():
                if isinstance(item, events.Started | events.Retry):
                    self._begin(item)
                drafts.append(item)
            case _:
                text, event = _event_of(item)
                self._grow(drafts, text, event)

    def _begin(self, event: events.Started | events.Retry) -> None:
        self._reset_limits()
        self._calls = None
        if isinstance(event, events.Started):
            self._turn_id = event.turn_id

    def _limit_logprobs(self, drafts: list[Draft], logprobs: str) -> str | None:
        had_room = self._logprobs_left >= 0
        self._logprobs_left -= len(logprobs)
        if self._logprobs_left >= 0:
            return logprobs
        if had_room:
            limit = MAX_LOGPROBS_BYTES // 2**20
            text = f"The logprobs of the answer exceed {limit} MiB; the rest is omitted."
            drafts.append(events.Warning("logprobs_left_out", text))
        return None

    def _grow(self, drafts: list[Draft], text: str, event: AnyEvent) -> None:
        if self.full:
            return
        self._events_left -= 1
        # `isascii` is a flag test, so nearly all deltas are measured without an encoded copy.
        self._bytes_left -= len(text) if text.isascii() else len(text.encode())
        if self._bytes_left >= 0 and self._events_left >= 0:
            drafts.append(event)
            return
        self.full = True
        text = f"The answer exceeds max_answer_bytes or {MAX_EVENTS:,} events; the rest is omitted."
        drafts.append(events.Warning("size_limit", text))


class ToolCallRepair:
    """A repair of the tool calls of an answer, so that clients can use them.

    Providers send ids that are missing, empty or used twice. Clients need a unique id with the
    first piece of each call, and arguments that are JSON.
    """

    __slots__ = ("_ids", "_known", "_turn")

    def __init__(self, turn_id: str) -> None:
        self._turn = turn_id.removeprefix("turn_")
        self._ids: set[str] = set()
        self._known: dict[int, _ToolCall] = {}

    def repaired(self, piece: ToolCallChunk) -> events.ToolCallDelta:
        """Return the piece as an event: with an id if it is the first, else without one."""
        call, id = self._known.get(piece.index), None
        if call is None:
            call = self._known[piece.index] = _ToolCall(blank=piece.kind == "function")
            id = self._unique(piece.id)
        name = None if call.named else piece.name
        call.named = call.named or bool(name)
        # `null` means no arguments, too, but clients need an object.
        text = "" if call.blank and piece.arguments.strip() == "null" else piece.arguments
        call.blank = call.blank and not text.strip()
        return events.ToolCallDelta(piece.index, id, name, text, piece.kind, piece.extras)

    def missing_arguments(self, reason: Reason) -> list[events.ToolCallDelta]:
        """Return `{}` for each call without arguments, unless the answer was cut."""
        if reason in (Reason.LENGTH, Reason.CONTENT_FILTER):
            return []
        blank = [index for index, call in self._known.items() if call.blank]
        return [events.ToolCallDelta(index, None, None, "{}") for index in blank]

    def _unique(self, id: str | None) -> str:
        number = len(self._ids)
        while not id or id in self._ids:
            id = f"call_{self._turn}_{number}"
            number += 1
        self._ids.add(id)
        return id


class _ToolCall(Struct):
    blank: bool
    """True while the arguments of a function are only white space."""
    named: bool = False


def _event_of(chunk: _OtherContent) -> tuple[str, AnyEvent]:
    """Return the event of a chunk, with the text that counts towards the answer's size."""
    match chunk:
        case ReasoningChunk(text):
            return text, events.Reasoning(text)
        case RefusalChunk(text):
            return text, events.Refusal(text)
        case ReasoningStateChunk(api, state):
            return state, events.ReasoningState(api, state)
        case MessagePhaseChunk(phase):
            return phase, events.MessagePhase(phase)
        case AnnotationChunk(annotation):
            return annotation, events.Annotation(annotation)
        case NativeItemChunk(api, native):
            return native, events.NativeItem(api, native)
        case SkippedChunk(detail):
            return "", events.Warning("malformed_frame", detail)
        case WarningChunk(code, message):
            return "", events.Warning(code, message)


async def accumulate(
    accumulator: Accumulator,
    turn: Turn,
    inbox: Receiver[Chunk | AnyEvent],
    outbox: Sender[Draft],
) -> None:
    """Run the actor: receive, step and send until the streamer is done."""
    with outbox:
        async for items in inbox:
            drafts = accumulator.step(items)
            if accumulator.full:
                turn.stop(Reason.SIZE_LIMIT)
            if drafts:
                await outbox.put(drafts)
