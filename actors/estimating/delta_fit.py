"""Tokens of an answer from the number of its deltas, for providers whose deltas follow tokens.

Many send one delta per token, save that a character made of several tokens comes whole; others
merge a few. Both have a ratio that finished turns show. Medians keep odd turns from moving it.
"""

import math
from collections import deque
from statistics import median

from msgspec import Struct

WINDOW = 24
"""Finished turns that are remembered."""

ENOUGH = 5
"""Turns before deltas count at all."""

ENOUGH_OF_SCRIPT = 3
"""Turns of each before those in Latin script and those in others are told apart."""

LEAST_DELTAS = 8
"""A turn with fewer says nothing: half of its answer might have come in the same ones."""

REFERENCE_TOKENS = 100
"""Length of an answer for which misses are compared: few merged deltas stray more than many."""

LEAST_MISS = 0.002
LEAST_TEXT_MISS = 0.02
"""Nothing is taken to be better than this, however well it went so far."""

LOWEST, HIGHEST = 1 / 1.5, 4.0
"""Of the text's estimate: where deltas say less, something on the way has merged them."""


class DeltaTurn(Struct, frozen=True, gc=False):
    """A finished turn."""

    deltas: int
    tokens: int
    by_text: float
    """What its text had been estimated at."""
    wide: float
    """Tokens that are not in Latin script, by the features."""
    split: float
    """Those of them that may be parts of a character."""

    @property
    def tells(self) -> bool:
        """Whether there is anything to learn from it."""
        fractions = self.by_text, self.wide, self.split
        return (
            self.deltas >= LEAST_DELTAS
            and self.tokens > 0
            and all(0.0 <= value < math.inf for value in fractions)
        )

    @property
    def is_wide(self) -> bool:
        """Whether it is mostly in another script than Latin."""
        return self.wide > 0.5 * self.tokens


class DeltaFit:
    """What one model's deltas have been worth of late."""

    __slots__ = ("_per_delta", "_per_split", "_shares", "_turns")

    def __init__(self, turns: tuple[DeltaTurn, ...] = ()) -> None:
        self._turns = deque([turn for turn in turns if turn.tells], WINDOW)
        self._fit()

    @property
    def turns(self) -> tuple[DeltaTurn, ...]:
        """What it goes by."""
        return tuple(self._turns)

    def learn(self, turn: DeltaTurn) -> None:
        """A turn has finished."""
        if turn.tells:
            self._turns.append(turn)
            self._fit()

    def improved(self, by_text: float, deltas: int, wide: float, split: float) -> float:
        """The estimate `by_text` of an answer's tokens, moved towards what its deltas say.

        How far depends on which of the two has been off less, for answers in such a script.
        """
        if deltas <= 0 or by_text <= 0.0 or len(self._turns) < ENOUGH:
            return by_text
        latin, other = self._shares
        share = latin + (other - latin) * min(1.0, wide / by_text)
        by_deltas = min(HIGHEST * by_text, max(LOWEST * by_text, self._tokens(deltas, split)))
        return share * by_deltas + (1.0 - share) * by_text

    def _tokens(self, deltas: int, split: float) -> float:
        return self._per_delta * deltas + self._per_split * split

    def _fit(self) -> None:
        if len(self._turns) < ENOUGH:
            return
        wide = [turn for turn in self._turns if turn.is_wide]
        latin = [turn for turn in self._turns if not turn.is_wide]
        if min(len(wide), len(latin)) < ENOUGH_OF_SCRIPT:
            wide = latin = list(self._turns)
        self._per_delta = median([turn.tokens / turn.deltas for turn in latin])
        self._per_split = min(1.0, max(0.0, self._hidden(wide)))
        self._shares = self._share(latin), self._share(wide)

    def _hidden(self, wide: list[DeltaTurn]) -> float:
        """Tokens beyond the deltas, for each that may be part of a character."""
        hidden = [(t.tokens - self._per_delta * t.deltas) / t.split for t in wide if t.split > 0.0]
        return median(hidden) if hidden else 0.0

    def _share(self, turns: list[DeltaTurn]) -> float:
        """By inverse variance."""
        reference = REFERENCE_TOKENS / self._per_delta
        off = [abs(self._tokens(t.deltas, t.split) / t.tokens - 1) for t in turns]
        if_short = [m * math.sqrt(t.deltas / reference) for m, t in zip(off, turns, strict=True)]
        miss = max(_typical(off), _typical(if_short), LEAST_MISS)
        by_text = _typical([abs(turn.by_text / turn.tokens - 1) for turn in turns])
        return 1.0 / (1.0 + (miss / max(by_text, LEAST_TEXT_MISS)) ** 2)


def _typical(misses: list[float]) -> float:
    """What over two thirds of the misses do not exceed; fewer than a third may be anything."""
    return sorted(misses)[2 * len(misses) // 3]
