"""Scores of what a text says, however it is worded: similarity to exemplars. Pure.

A text is as similar to a meaning as its sentence that is closest to a centroid of exemplars. The
default vectors are counts of hashed character 3-grams, which need no model. `Centroids` can also
be made of the vectors that an embeddings provider returns for `exemplar_texts`.
"""

import math
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources

from msgspec import Struct, convert

from actors.guards.prose import MASKED, Place, sentences
from actors.guards.spec import PASS, Meaning, Retry, Scores, TextCheck, Verdict

DIMENSIONS = 1024
"""Number of values that 3-grams are hashed to."""
EDGE = 4_000
"""Characters of the beginning and of the end of a text that are looked at.

An answer speaks about itself there, and so no text takes longer than some milliseconds.
"""
_LONGEST = 300
"""Characters of a sentence that are looked at."""

Vector = Mapping[int, float]
"""A vector of length 1, without its zeros."""


class Exemplars(Struct, frozen=True):
    """Groups of sentences that are alike; see `exemplars.toml`."""

    meanings: dict[Meaning, list[list[str]]]
    near_misses: list[list[str]]
    ordinary: list[str]


@cache
def _exemplars() -> Exemplars:
    data = resources.files("actors.guards.wording").joinpath("exemplars.toml").read_text("utf-8")
    return convert(tomllib.loads(data), Exemplars)


def exemplar_texts() -> list[str]:
    """Return the sentences whose vectors `Centroids` needs, in their order."""
    return [text for _, group in _groups() for text in group] + _exemplars().ordinary


def _groups() -> Iterator[tuple[Meaning | None, list[str]]]:
    """Yield each group with its meaning, or None for near misses."""
    exemplars = _exemplars()
    for meaning, groups in exemplars.meanings.items():
        yield from ((meaning, group) for group in groups)
    yield from ((None, group) for group in exemplars.near_misses)


class Centroids:
    """Means of the vectors of exemplars, with which other vectors are compared.

    A similarity is a cosine on a scale on which that of ordinary sentences is 0 and that of the
    exemplars of a centroid is 1, on average. So thresholds mean the same for all kinds of vectors.
    """

    def __init__(self, vectors: Sequence[Vector], *, merged: bool = False) -> None:
        """Make the centroids of the vectors of `exemplar_texts`.

        `merged` makes one centroid for each meaning and not one for each group: enough for
        vectors of a model, which are similar if the words are not, and which have no zeros.
        """
        members: dict[object, list[Vector]] = defaultdict(list)
        meanings: dict[object, Meaning | None] = {}
        rest = iter(vectors)
        for number, (meaning, group) in enumerate(_groups()):
            key = meaning if merged else number
            meanings[key] = meaning
            members[key] += [next(rest) for _ in group]
        ordinary = list(rest)
        self._meanings = list(meanings.values())
        self._shifts: list[float] = []
        self._weights: dict[int, list[tuple[int, float]]] = defaultdict(list)
        """Centroids that are not zero in a dimension, with their values: most others are."""
        for number, group_vectors in enumerate(members.values()):
            centroid = _mean(group_vectors)
            own = sum(_cosine(vector, centroid) for vector in group_vectors) / len(group_vectors)
            shift = sum(_cosine(vector, centroid) for vector in ordinary) / len(ordinary)
            scale = max(own - shift, 0.01)
            self._shifts.append(shift / scale)
            for dimension, value in centroid.items():
                self._weights[dimension].append((number, value / scale))

    def scores_from(self, vectors: Iterable[Vector]) -> Scores:
        """Return the highest score of the vectors of sentences for each meaning, from 0 to 1.

        A sentence has the meaning of the centroid that is closest. Near misses have none: such a
        sentence only shares words with a meaning.
        """
        scores = dict.fromkeys(Meaning, 0.0)
        for vector in vectors:
            similarities = self._similarities(vector)
            closest = max(similarities)
            meaning = self._meanings[similarities.index(closest)]
            if meaning is not None:
                scores[meaning] = max(scores[meaning], min(closest, 1.0))
        return scores

    def _similarities(self, vector: Vector) -> list[float]:
        found = [-shift for shift in self._shifts]
        for dimension, value in vector.items():
            for number, weight in self._weights.get(dimension, ()):
                found[number] += value * weight
        return found


def embedding(values: Sequence[float]) -> Vector:
    """Return the vector of an embedding, which may have any length."""
    return _unit(dict(enumerate(values)))


def passages(text: str) -> list[str]:
    """Return the sentences that are scored: no questions, and of a long text those at its ends."""
    prose = sentences(text if len(text) <= 2 * EDGE else text[:EDGE])[0]
    if len(text) > 2 * EDGE:
        cut = len(text) - EDGE
        fences = text.startswith("```") + text.count("\n```", 0, cut)
        fence = "```" if fences % 2 else ""
        prose += sentences(text[cut:], Place(fence, begins_line=False))[0]
    plain = (one.text.replace(MASKED, " ").strip()[:_LONGEST] for one in prose)
    return [one for one in plain if one and not one.endswith(("?", "\uff1f"))]


class _LazyScores(Mapping[Meaning, float]):
    """Scores that are computed when a guard reads the first of them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._scores: Scores | None = None

    def _computed(self) -> Scores:
        if self._scores is None:
            vectors = map(hashed, passages(self._text))
            self._scores = _hashed_centroids().scores_from(vectors)
        return self._scores

    def __getitem__(self, meaning: Meaning) -> float:
        return self._computed()[meaning]

    def __iter__(self) -> Iterator[Meaning]:
        return iter(Meaning)

    def __len__(self) -> int:
        return len(Meaning)


def scores(text: str) -> Scores:
    """Return the scores of a text by hashed 3-grams, computed when they are read."""
    return _LazyScores(text)


_SPACE = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"\d+")


def hashed(text: str) -> Vector:
    """Return the vector of the character 3-grams of a text, the rare ones weighted most."""
    rarity = _rarity()
    counts = Counter(_buckets(text))
    return _unit({one: (1 + math.log(count)) * rarity[one] for one, count in counts.items()})


def _buckets(text: str) -> list[int]:
    words = _SPACE.sub(" ", _NUMBER.sub("0", text.lower()))
    codes = [32, *map(ord, words), 32]
    triples = zip(codes, codes[1:], codes[2:], strict=False)
    return [(first * 961 + second * 31 + third) % DIMENSIONS for first, second, third in triples]


@cache
def _rarity() -> list[float]:
    """Return the weight of each bucket: the logarithm of the share of exemplars that have it."""
    texts = exemplar_texts()
    seen = Counter(bucket for text in texts for bucket in set(_buckets(text)))
    return [math.log((len(texts) + 1) / (seen[bucket] + 1)) for bucket in range(DIMENSIONS)]


@cache
def _hashed_centroids() -> Centroids:
    return Centroids([hashed(text) for text in exemplar_texts()])


def _unit(vector: Mapping[int, float]) -> Vector:
    length = math.sqrt(sum(value * value for value in vector.values()))
    return {one: value / length for one, value in vector.items() if value} if length else {}


def _mean(vectors: Iterable[Vector]) -> Vector:
    total: dict[int, float] = defaultdict(float)
    for vector in vectors:
        for dimension, value in vector.items():
            total[dimension] += value
    return _unit(total)


def _cosine(one: Vector, other: Vector) -> float:
    return sum(value * other.get(dimension, 0.0) for dimension, value in one.items())


def score_check(meaning: Meaning, threshold: float, directive: str) -> TextCheck:
    """Return a check that has the model answer again if a text has a meaning."""

    def check(text: str, scores: Scores) -> Verdict:
        return Retry(directive) if scores[meaning] >= threshold else PASS

    return TextCheck(check=check)
