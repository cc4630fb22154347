"""Playhead: tracks which steps of a script are due, without a clock."""

from actors.providers.simulated.behaviour import Fault
from actors.providers.simulated.steps import Step, TornFrame
from actors.turn.chunks import SkippedChunk

MOST_AT_ONCE = 64
"""Maximum steps in one batch, so that a flood doesn't block other tasks."""


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
