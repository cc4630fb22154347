"""Delta fit: estimates the tokens of an answer from the number of its deltas.

Many providers send one delta per token, except that a character of several tokens comes in one
delta; others merge a few tokens. Either way the ratio is learnt from finished turns. Medians keep
outliers from moving it.
"""

import math
from collections import deque
from statistics import median

from msgspec import Struct

WINDOW = 24
"""Number of finished turns kept."""

ENOUGH = 5
"""Minimum number of turns before deltas are used at all."""

ENOUGH_OF_SCRIPT = 3
"""Minimum number of turns of either kind before Latin and other scripts are fitted separately."""

LEAST_DELTAS = 8
"""Minimum deltas of a turn to learn from; with fewer, merged deltas distort the ratio too much."""

REFERENCE_TOKENS = 100
"""Answer length in tokens for which errors are compared, since short answers have larger relative
errors."""

LEAST_MISS = 0.002
"""Minimum relative error assumed of the deltas, however accurate they were so far."""
LEAST_TEXT_MISS = 0.02
"""Minimum relative error assumed of the text, however accurate it was so far."""

LOWEST, HIGHEST = 1 / 1.5, 4.0
"""Bounds of the estimate by deltas, relative to the estimate by text; below the lower bound a proxy
has merged the deltas."""


class DeltaTurn(Struct, frozen=True, gc=False):
    """Counts of a finished turn."""

    deltas: int
    tokens: int
    by_text: float
    """Tokens that were estimated from the text."""
    wide: float
    """Estimated tokens outside Latin script."""
    split: float
    """Estimated tokens that may be parts of a character, a subset of `wide`."""

    @property
    def is_informative(self) -> bool:
        """True if the fit can learn from the turn."""
        fractions = self.by_text, self.wide, self.split
        return (
            self.deltas >= LEAST_DELTAS
            and self.tokens > 0
            and all(0.0 <= value < math.inf for value in fractions)
        )

    @property
    def is_wide(self) -> bool:
        """True if most of its tokens are outside Latin script."""
        return self.wide > 0.5 * self.tokens


class DeltaFit:
    """The recent ratio of tokens to deltas of one model."""

    __slots__ = ("_per_delta", "_per_split", "_shares", "_turns")

    def __init__(self, turns: tuple[DeltaTurn, ...] = ()) -> None:
        self._turns = deque([turn for turn in turns if turn.is_informative], WINDOW)
        self._fit()

    @property
    def turns(self) -> tuple[DeltaTurn, ...]:
        """The turns that the fit is based on, to be stored."""
        return tuple(self._turns)

    def learn(self, turn: DeltaTurn) -> None:
        """Add a finished turn."""
        if turn.is_informative:
            self._turns.append(turn)
            self._fit()

    def adjust(self, by_text: float, deltas: int, wide: float, split: float) -> float:
        """Return a mean of the estimate `by_text` and the estimate by deltas.

        The more accurate of the two so far, for answers in such a script, has the larger weight.
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
        """Return the tokens without a delta per token that may be part of a character."""
        hidden = [(t.tokens - self._per_delta * t.deltas) / t.split for t in wide if t.split > 0.0]
        return median(hidden) if hidden else 0.0

    def _share(self, turns: list[DeltaTurn]) -> float:
        """Return the weight of the estimate by deltas, from inverse variances."""
        reference = REFERENCE_TOKENS / self._per_delta
        errors = [abs(self._tokens(t.deltas, t.split) / t.tokens - 1) for t in turns]
        # Scaled to the reference length: relative errors shrink with the square root of the length.
        scaled = [e * math.sqrt(t.deltas / reference) for e, t in zip(errors, turns, strict=True)]
        miss = max(_typical(errors), _typical(scaled), LEAST_MISS)
        by_text = _typical([abs(turn.by_text / turn.tokens - 1) for turn in turns])
        return 1.0 / (1.0 + (miss / max(by_text, LEAST_TEXT_MISS)) ** 2)


def _typical(misses: list[float]) -> float:
    """Return the upper tertile of the errors, which up to a third of outliers can't raise."""
    return sorted(misses)[2 * len(misses) // 3]
