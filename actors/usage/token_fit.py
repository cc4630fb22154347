"""Token fit: estimates the tokens of a text as a weighted sum of its features.

The weights are the state of a Kalman filter, which each reported answer updates. Features are
already in tokens of an average vocabulary, so weights start at 1; the prior is the spread among
vocabularies.
"""

from typing import Self

from msgspec.structs import astuple

from actors.usage.text_features import Features

Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]

PRIOR_SPREAD = Features(
    words=0.1,
    pieces=0.4,
    signs=0.25,
    numbers=0.35,
    cjk=0.35,
    rare=0.5,
    syllables=0.5,
    others=0.5,
)
"""Prior standard deviation of each weight."""

NOISE = 0.1
"""Standard deviation of an answer's tokens, relative to the weighted sum."""

NOISE_TOKENS = 3.0
"""Additional standard deviation in tokens, which dominates in short answers."""

DRIFT = 0.005
"""Share of the prior variance that each answer adds back, so that learning never stops."""

OUTLIER = 3.0
"""Number of standard deviations beyond which an answer is weighted less, the further off it is."""

LOWEST, HIGHEST = 0.25, 4.0
"""Bounds of a weight, which limit the effect of wrong reports."""

_PRIOR: Vector = tuple(spread * spread for spread in astuple(PRIOR_SPREAD))


class TokenFit:
    """The weights of one model's vocabulary, and their covariance."""

    __slots__ = ("_covariance", "_weights")

    def __init__(self) -> None:
        self._weights = [1.0] * len(_PRIOR)
        self._covariance = [
            [variance if i == j else 0.0 for j in range(len(_PRIOR))]
            for i, variance in enumerate(_PRIOR)
        ]

    @classmethod
    def of(cls, weights: Vector, covariance: Matrix) -> Self | None:
        """Return a fit with this state, or None if the state is invalid."""
        size = len(_PRIOR)
        if [len(weights), len(covariance), *map(len, covariance)] != [size] * (size + 2):
            return None
        most = max(_PRIOR)
        if not all(LOWEST <= weight <= HIGHEST for weight in weights) or not all(
            -most <= entry <= most for row in covariance for entry in row
        ):
            return None
        fit = cls()
        fit._weights = list(weights)
        fit._covariance = [list(row) for row in covariance]
        return fit

    @property
    def weights(self) -> Vector:
        """One weight per field of `Features`, in that order."""
        return tuple(self._weights)

    @property
    def covariance(self) -> Matrix:
        """Covariance matrix of the weights."""
        return tuple(map(tuple, self._covariance))

    def tokens(self, found: Features) -> float:
        """Return the estimated tokens for these features; it never shrinks when one grows."""
        return _dot(self._weights, astuple(found))

    def learn(self, found: Features, tokens: int) -> None:
        """Learn that the provider counted `tokens`, more than 0, for a text with these features."""
        values = astuple(found)
        self._drift()
        expected = _dot(self._weights, values)
        shared = [_dot(row, values) for row in self._covariance]
        noise = NOISE * expected
        known = max(0.0, _dot(shared, values)) + noise * noise + NOISE_TOKENS * NOISE_TOKENS
        off = tokens - expected
        self._correct(shared, off, max(known, off * off / (OUTLIER * OUTLIER)))

    def _drift(self) -> None:
        for i, (row, prior) in enumerate(zip(self._covariance, _PRIOR, strict=True)):
            row[i] = min(prior, max(0.0, row[i]) + DRIFT * prior)

    def _correct(self, shared: list[float], off: float, variance: float) -> None:
        for i, row in enumerate(self._covariance):
            gain = shared[i] / variance
            self._weights[i] = min(HIGHEST, max(LOWEST, self._weights[i] + gain * off))
            self._covariance[i] = [
                mine - gain * other for mine, other in zip(row, shared, strict=True)
            ]


def _dot(left: list[float] | Vector, right: list[float] | Vector) -> float:
    return sum([a * b for a, b in zip(left, right, strict=True)])
