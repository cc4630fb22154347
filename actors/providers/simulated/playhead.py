"""Where a script stands: which steps are due, and when the next one is. Knows no clock."""

from actors.chunks import SkippedChunk
from actors.providers.simulated.behaviour import Fault
from actors.providers.simulated.steps import Step, Torn

MOST_AT_ONCE = 64
"""Steps in one batch, so that a flood does not hold up everything else."""


class Playhead:
    """Walks through steps; times are seconds since the head was sent.

    Each step is due so long after the one before it *was due*, so that pauses of the player
    do not make the answer slower.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self._steps = steps
        self._next = 0
        self._due_s = steps[0].after_s if steps else 0.0

    def ended(self) -> bool:
        """Whether every step has been taken."""
        return self._next == len(self._steps)

    @property
    def due_s(self) -> float:
        """When the next step is due."""
        return self._due_s

    def take(self, now_s: float) -> tuple[Step, ...]:
        """The next step, for which the caller has waited, and what else is due.

        At least one step, although `now_s` may be a rounding error before it is due. What is
        not an ordinary chunk comes alone.
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
        return isinstance(self._steps[self._next].act, Fault | Torn | SkippedChunk)

    def _advance(self) -> None:
        self._next += 1
        if not self.ended():
            self._due_s += self._steps[self._next].after_s
