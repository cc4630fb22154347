"""Flow: the drafts of one model call in their order, on their way through the guards. Pure.

Text waits until it may be shown, and what stands behind it waits with it.
"""

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from actors.accumulator import Draft
from actors.guards.gate.chain import TurnChecks
from actors.guards.gate.channel import Channel
from actors.guards.gate.scanner import Found, OnFailure
from actors.guards.spec import GuardSpec
from actors.turn import events
from actors.turn.events import Reasoning, Refusal, Text
from actors.turn.outcome import Finding, GuardMode, Stage

_SAYS_NOTHING = (events.ReasoningState, events.MessagePhase)

Report = Callable[[GuardSpec | None, Stage, Finding, int, str], None]
"""Records the verdict of a guard (None: of the whole chain), on how many pieces of text, and the
text that it removed."""


class Run(Struct):
    """Consecutive text of one channel, up to a position of it."""

    kind: type[Text] | type[Reasoning] | type[Refusal]
    channel: Channel
    end: int


class Flow:
    """The drafts that wait, and a record of those that have passed."""

    def __init__(
        self, mode: GuardMode, checks: TurnChecks, report: Report, on_failure: OnFailure
    ) -> None:
        self._mode = mode
        self._report = report
        everywhere = checks.everywhere
        first = mode is GuardMode.BUFFER_FIRST
        self.text = Channel(checks.blocking if first else checks.spans, on_failure)
        self._reasoning = Channel(everywhere, on_failure)
        self._refusal = Channel(everywhere, on_failure)
        self.channels = (self.text, self._reasoning, self._refusal)
        self._queue: deque[Run | Draft] = deque()
        self.is_open = mode is GuardMode.HOLD_BACK
        """True if text may pass; until then it is buffered."""
        self.shown: list[str] = []
        """The text that has passed, or will at the end."""
        self.has_content = False
        """True if anything but reasoning has passed, so that the answer cannot begin again."""
        self.has_reasoning = False
        """True if reasoning or its state has passed."""
        self._is_reasoning_changed = False
        """True if guards removed something from the reasoning since its last state."""

    @property
    def held(self) -> int:
        """Number of characters that have not passed yet."""
        return sum(channel.size - channel.released for channel in self.channels)

    def add_text(self, kind: type[Text] | type[Reasoning] | type[Refusal], delta: str) -> None:
        """Add text of a kind."""
        if kind is Text:
            channel = self.text
        else:
            channel = self._reasoning if kind is Reasoning else self._refusal
        last = self._queue[-1] if self._queue else None
        if isinstance(last, Run) and last.channel is channel:
            channel.feed(delta)
            last.end = channel.size
        else:
            run = Run(kind, channel, 0)
            self.add(run)
            channel.feed(delta)
            run.end = channel.size

    def add(self, entry: Run | Draft) -> None:
        """Add another draft."""
        last = self._queue[-1] if self._queue else None
        if isinstance(last, Run) and last.channel is not self.text:
            last.channel.end()  # later reasoning is another text
        self._queue.append(entry)

    def release(self, passed: list[Draft]) -> None:
        """Append what may pass now, in order."""
        queue = self._queue
        while queue:
            head = queue[0]
            if not self.is_open and self._is_held(head):
                break
            if isinstance(head, Run):
                self._show(head, passed)
                if not self._is_over(head):
                    break
            else:
                self._pass_other(head, passed)
            queue.popleft()

    def _pass_other(self, draft: Draft, passed: list[Draft]) -> None:
        if isinstance(draft, events.ReasoningState):
            # The state of reasoning that was changed does not fit it, and may have all of its text.
            changed, self._is_reasoning_changed = self._is_reasoning_changed, False
            if changed:
                return
            self.has_reasoning = True
        self.has_content |= not isinstance(draft, _SAYS_NOTHING)
        passed.append(draft)

    def _is_held(self, head: "Run | Draft") -> bool:
        all_of_it = self._mode is GuardMode.BUFFER_ALL
        return all_of_it or (isinstance(head, Run) and head.channel is self.text)

    def _is_over(self, run: Run) -> bool:
        """Return True if all of the text has passed, and nothing in it ends the call."""
        channel = run.channel
        return channel.released >= run.end and (
            self._is_as_written(channel) or channel.limit >= run.end
        )

    def _is_as_written(self, channel: Channel) -> bool:
        return channel is self.text and self._mode is GuardMode.BUFFER_FIRST

    def _show(self, run: Run, passed: list[Draft]) -> None:
        channel = run.channel
        as_written = self._is_as_written(channel)
        if not as_written:
            upto = min(run.end, channel.limit)
        else:
            upto = run.end if channel.stop is None else min(run.end, channel.stop.begin)
        piece = channel.take(upto, as_written=as_written)
        if channel.removed:
            self._is_reasoning_changed |= run.kind is Reasoning
            self._report_removed(channel)
        if piece:
            passed.append(run.kind(piece))
            if run.kind is Text:
                self.shown.append(piece)
            self.has_reasoning |= run.kind is Reasoning
            self.has_content |= run.kind is not Reasoning

    def _report_removed(self, channel: Channel) -> None:
        removed: dict[str, tuple[GuardSpec, list[str]]] = {}
        for guard, piece in channel.removed:
            removed.setdefault(guard.name, (guard, []))[1].append(piece)
        channel.removed.clear()
        for guard, pieces in removed.values():
            self._report(guard, "flow", "rewrite", len(pieces), "\n".join(pieces))

    def first_stop(self) -> tuple[Channel, Found] | None:
        """Return the first span that ends the call, once all that precedes it is settled."""
        if all(channel.stop is None for channel in self.channels):
            return None
        first = self._mode is GuardMode.BUFFER_FIRST
        for run in self._queue:
            if not isinstance(run, Run):
                continue
            channel, span = run.channel, run.channel.stop
            if first and channel is self.text:
                return None  # the examination of the beginning decides
            if channel.limit < run.end:
                return (channel, span) if span is not None and channel.stop_is_known else None
        return None
