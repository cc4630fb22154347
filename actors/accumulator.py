"""The accumulator: grows the answer out of chunks, and knows when it is too long.

Second actor of a turn. It turns chunks into draft events; finish and usage pass through, since
the persister decides the outcome.
"""

from collections.abc import Callable

from actors import events
from actors.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.events import AnyEvent
from actors.links import Receiver, Sender

Draft = AnyEvent | FinishChunk
"""What flows from the accumulator to the persister: events without a number, and the finish."""

MAX_LOGPROBS_BYTES = 32 * 1024 * 1024
"""Of an answer's `logprobs`, which may be a hundred times its text; what is more is left out."""

MAX_EVENTS = 200_000
"""The other bound of an answer: at about 120 bytes each, 25 MB of journal in memory."""


class Accumulator:
    """Pure step of the actor. `on_oversize` is called once, when the answer passes the limit."""

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
        self._begin()
        self._on_oversize = on_oversize
        self._calls: dict[int, _GrowingCall] = {}
        self._full = False

    def _begin(self) -> None:
        """Nothing has come yet, or nothing of it counts any more."""
        self._bytes_left = self._max_bytes
        self._events_left = MAX_EVENTS
        self._logprobs_left = MAX_LOGPROBS_BYTES

    def step(self, items: list[Chunk | AnyEvent]) -> list[Draft]:
        """Draft events for what came in, in its order."""
        drafts: list[Draft] = []
        for item in items:
            kind = type(item)
            if kind is TextChunk:
                self._grow_text(drafts, item)  # type: ignore[arg-type]
            else:
                self._rarer(drafts, item)
        return drafts

    def _rarer(self, drafts: list[Draft], item: Chunk | AnyEvent) -> None:
        match item:
            case ReasoningChunk(text):
                self._grow(drafts, text, events.Reasoning(text))
            case RefusalChunk(text):
                self._grow(drafts, text, events.Refusal(text))
            case ToolCallChunk():
                self._grow_call(drafts, item)
            case FinishChunk():
                # An answer that was cut here is not whole, whatever the provider made of it.
                if not self._full:
                    drafts += [*self._whole_calls(), item]
            case SkippedChunk(detail):
                self._grow(drafts, "", events.Warning("malformed_frame", detail))
            case UsageChunk():
                pass  # the ledger has it
            case events.Retry():
                self._calls.clear()
                self._begin()
                drafts.append(item)
            case TextChunk():
                raise AssertionError("text is handled by step")
            case _:
                drafts.append(item)

    def _grow_text(self, drafts: list[Draft], chunk: TextChunk) -> None:
        logprobs = chunk.logprobs
        if logprobs is not None:
            logprobs = self._within_bound(drafts, logprobs)
        self._grow(drafts, chunk.text, events.Text(chunk.text, logprobs))

    def _within_bound(self, drafts: list[Draft], logprobs: str) -> str | None:
        had_room = self._logprobs_left >= 0
        self._logprobs_left -= len(logprobs)
        if self._logprobs_left >= 0:
            return logprobs
        if had_room:
            drafts.append(events.Warning("logprobs_left_out", "There are too many logprobs."))
        return None

    def _grow(self, drafts: list[Draft], text: str, event: AnyEvent) -> None:
        if self._full:
            return
        self._events_left -= 1
        self._bytes_left -= len(text) if text.isascii() else len(text.encode())
        if self._bytes_left >= 0 and self._events_left >= 0:
            drafts.append(event)
            return
        self._full = True
        drafts.append(events.Warning("size_limit", "The answer grew past max_answer_bytes."))
        self._on_oversize()

    def _grow_call(self, drafts: list[Draft], piece: ToolCallChunk) -> None:
        call = self._calls.setdefault(piece.index, _GrowingCall())
        call.id = call.id or piece.id
        call.name = call.name or piece.name
        call.arguments.append(piece.arguments)
        delta = events.ToolCallDelta(piece.index, piece.id, piece.name, piece.arguments)
        self._grow(drafts, piece.arguments, delta)

    def _whole_calls(self) -> list[Draft]:
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
    """The actor: receive, step, send, until the streamer is done."""
    with outbox:
        async for items in inbox:
            drafts = accumulator.step(items)
            if drafts:
                await outbox.put(drafts)
