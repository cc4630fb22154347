"""Scripts of simulated answers, and the playhead that tracks their due steps, without a clock."""

from msgspec import Struct

from actors.providers.simulated.options.behaviour import Fault
from actors.turn.chunks import Chunk, SkippedChunk, UsageChunk
from actors.turn.outcome import ErrorInfo

MOST_AT_ONCE = 64
"""Maximum steps in one batch, so that a flood doesn't block other tasks."""


class TornFrame(Struct, frozen=True):
    """A chunk whose frame breaks off inside its text."""

    chunk: Chunk


Act = Chunk | Fault | TornFrame
"""Action of a step; a `SkippedChunk` represents a malformed frame without text."""


class Step(Struct, frozen=True):
    """An action that is due `after_s` seconds after the step before it."""

    after_s: float
    act: Act
    tokens: int = 0


class Script(Struct, frozen=True, kw_only=True):
    """A complete answer with its timing."""

    head_s: float
    """Seconds before the response head, or before the opening that replaces it."""
    opening: ErrorInfo | Fault | None = None
    """HTTP error or fault that replaces the head and the steps."""
    steps: tuple[Step, ...] = ()
    """Chunks, then finish and usage; a fault is always the last step."""
    done: bool = True
    """True if the stream's end mark (`[DONE]`) is sent."""

    @property
    def has_usage(self) -> bool:
        """True if usage follows the finish."""
        return any(isinstance(step.act, UsageChunk) for step in self.steps[-2:])


class Playhead:
    """A position in a script's steps; times are seconds since the head was sent.

    A step's delay counts from the time when the step before it *was due*, not from when it was
    taken, so that pauses of the caller don't slow the answer down.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self._steps = steps
        self._next = 0
        self._due_s = steps[0].after_s if steps else 0.0

    def ended(self) -> bool:
        """Return True once every step has been taken."""
        return self._next == len(self._steps)

    @property
    def due_s(self) -> float:
        """Time at which the next step is due, in seconds since the head."""
        return self._due_s

    def take(self, now_s: float) -> tuple[Step, ...]:
        """Return the next step, which the caller has waited for, and all others that are due.

        At least one step is returned, since `now_s` may be before its due time by a rounding
        error. A step that isn't an ordinary chunk is returned alone.
        """
        start = self._next
        alone = self._special()
        self._advance()
        while not (alone or self.ended() or self._special()) and self._due_s <= now_s:
            if self._next - start == MOST_AT_ONCE:
                break
            self._advance()
        return self._steps[start : self._next]

    def _special(self) -> bool:
        return isinstance(self._steps[self._next].act, Fault | TornFrame | SkippedChunk)

    def _advance(self) -> None:
        self._next += 1
        if not self.ended():
            self._due_s += self._steps[self._next].after_s
