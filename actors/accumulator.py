"""Accumulator: turns chunks into draft events and enforces the answer's size limits.

The second actor of a turn. The finish passes through unchanged, because the persister decides the
outcome.
"""

from collections.abc import Callable

from actors.runtime.batch_channel import Receiver, Sender
from actors.turn import events
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.events import AnyEvent

Draft = AnyEvent | FinishChunk
"""Item sent from the accumulator to the persister: an event without a number, or the finish."""

MAX_LOGPROBS_BYTES = 32 * 1024 * 1024
"""Maximum bytes of `logprobs` in an answer (up to 100 times its text); the rest is omitted."""

MAX_EVENTS = 200_000
"""Maximum number of events in an answer; at about 120 bytes each they take 25 MB of memory."""


class Accumulator:
    """The state of the actor; calls `on_oversize` once, when the answer exceeds a limit."""

    __slots__ = (
        "_bytes_left",
        "_calls",
        "_events_left",
        "_full",
        "_logprobs_left",
        "_max_bytes",
        "_on_oversize",
    )

    def __init__(self, max_answer_bytes: int, on_oversize: Callable[[], None]) -> None:
        self._max_bytes = max_answer_bytes
        self._reset_limits()
        self._on_oversize = on_oversize
        self._calls: dict[int, _GrowingCall] = {}
        self._full = False

    def _reset_limits(self) -> None:
        """Reset the limits, at the start and after a retry."""
        self._bytes_left = self._max_bytes
        self._events_left = MAX_EVENTS
        self._logprobs_left = MAX_LOGPROBS_BYTES

    def step(self, items: list[Chunk | AnyEvent]) -> list[Draft]:
        """Return the draft events for these chunks and events, in order."""
        drafts: list[Draft] = []
        for item in items:
            kind = type(item)
            if kind is TextChunk:
                self._grow_text(drafts, item)  # type: ignore[arg-type]
            else:
                self._step_other(drafts, item)
        return drafts

    def _step_other(self, drafts: list[Draft], item: Chunk | AnyEvent) -> None:
        match item:
            case ReasoningChunk(text):
                self._grow(drafts, text, events.Reasoning(text))
            case RefusalChunk(text):
                self._grow(drafts, text, events.Refusal(text))
            case ToolCallChunk():
                self._grow_call(drafts, item)
            case FinishChunk():
                # An answer that was cut at the limit is incomplete even if the provider finished.
                if not self._full:
                    drafts += [*self._finish_calls(), item]
            case SkippedChunk(detail):
                self._grow(drafts, "", events.Warning("malformed_frame", detail))
            case UsageChunk():
                pass  # recorded in the ledger
            case events.Retry():
                self._calls.clear()
                self._reset_limits()
                drafts.append(item)
            case TextChunk():
                raise AssertionError("text is handled by step")
            case _:
                drafts.append(item)

    def _grow_text(self, drafts: list[Draft], chunk: TextChunk) -> None:
        logprobs = chunk.logprobs
        if logprobs is not None:
            logprobs = self._limit_logprobs(drafts, logprobs)
        self._grow(drafts, chunk.text, events.Text(chunk.text, logprobs))

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
        if self._full:
            return
        self._events_left -= 1
        # `isascii` is a flag test, so nearly all deltas are measured without an encoded copy.
        self._bytes_left -= len(text) if text.isascii() else len(text.encode())
        if self._bytes_left >= 0 and self._events_left >= 0:
            drafts.append(event)
            return
        self._full = True
        text = f"The answer exceeds max_answer_bytes or {MAX_EVENTS:,} events; the rest is omitted."
        drafts.append(events.Warning("size_limit", text))
        self._on_oversize()

    def _grow_call(self, drafts: list[Draft], piece: ToolCallChunk) -> None:
        call = self._calls.setdefault(piece.index, _GrowingCall())
        call.id = call.id or piece.id
        call.name = call.name or piece.name
        call.arguments.append(piece.arguments)
        delta = events.ToolCallDelta(piece.index, piece.id, piece.name, piece.arguments)
        self._grow(drafts, piece.arguments, delta)

    def _finish_calls(self) -> list[Draft]:
        calls, self._calls = self._calls, {}
        return [
            events.ToolCall(index, call.id or "", call.name or "", "".join(call.arguments))
            for index, call in sorted(calls.items())
        ]


class _GrowingCall:
    def __init__(self) -> None:
        self.id: str | None = None
        self.name: str | None = None
        self.arguments: list[str] = []


async def accumulate(
    accumulator: Accumulator, inbox: Receiver[Chunk | AnyEvent], outbox: Sender[Draft]
) -> None:
    """Run the actor: receive, step and send until the streamer is done."""
    with outbox:
        async for items in inbox:
            drafts = accumulator.step(items)
            if drafts:
                await outbox.put(drafts)
