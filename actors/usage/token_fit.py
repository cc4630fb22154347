"""Token fit: estimates tokens as a weighted sum of features, and learns the weights.

The weights are the state of a Kalman filter, which each reported count updates. Features are
already in tokens of an average vocabulary, so weights start at 1.
"""

from collections.abc import Iterable, Sequence
from operator import mul

NOISE = 0.1
"""Standard deviation of a count, relative to the weighted sum."""
NOISE_TOKENS = 3.0
"""Additional standard deviation in tokens, which dominates in short answers."""

DRIFT = 0.005
"""Share of the prior variance that each answer adds back, so that learning never stops."""

OUTLIER = 3.0
"""Number of standard deviations beyond which an answer is weighted less, the further off it is."""

LOWEST, HIGHEST = 0.25, 4.0
"""Bounds of a weight, which limit the effect of wrong reports."""

LATEST = 0.1
"""Minimum weight of the latest answer in the mean error."""
REFERENCE_TOKENS = 100
"""Length in tokens below which errors count less, since short answers have larger ones."""


class TokenFit:
    """The weights for one model, given the prior standard deviation of each."""

    __slots__ = ("_covariance", "_priors", "_weights", "answers", "error")

    def __init__(self, spread: Sequence[float]) -> None:
        self._priors = [deviation * deviation for deviation in spread]
        self._covariance = [[0.0] * len(spread) for _ in spread]
        self._weights = [1.0] * len(spread)
        self._widen(1.0)
        self.answers = 0
        """Number of answers learnt from."""
        self.error = 0.0
        """Mean squared relative error of the estimates for these answers."""

    def tokens(self, found: Sequence[float]) -> float:
        """Return the estimated tokens for these features; it never shrinks when one grows."""
        return _dot(self._weights, found)

    def learn(self, found: Sequence[float], tokens: int) -> None:
        """Learn that the provider counted `tokens`, more than 0, for these features."""
        expected = self.tokens(found)
        self._note_error(expected / tokens - 1.0, tokens)
        self._widen(DRIFT)
        shared = [_dot(row, found) for row in self._covariance]
        off, noise = tokens - expected, NOISE * expected
        known = max(0.0, _dot(shared, found)) + noise * noise + NOISE_TOKENS * NOISE_TOKENS
        self._correct(shared, off, max(known, off * off / (OUTLIER * OUTLIER)))

    def _note_error(self, error: float, tokens: int) -> None:
        self.answers += 1
        squared = min(1.0, error * error) * min(1.0, tokens / REFERENCE_TOKENS)
        self.error += max(LATEST, 1 / self.answers) * (squared - self.error)

    def _widen(self, share: float) -> None:
        """Add a share of the prior variances, up to all of them."""
        for i, (row, prior) in enumerate(zip(self._covariance, self._priors, strict=True)):
            row[i] = min(prior, max(0.0, row[i]) + share * prior)

    def _correct(self, shared: list[float], off: float, variance: float) -> None:
        for i, row in enumerate(self._covariance):
            gain = shared[i] / variance
            self._weights[i] = min(HIGHEST, max(LOWEST, self._weights[i] + gain * off))
            self._covariance[i] = [a - gain * b for a, b in zip(row, shared, strict=True)]


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    products: Iterable[float] = map(mul, left, right)
    return sum(products)
