"""Accuracy test of the estimator against two real vocabularies, on held-out texts.

After 20 finished turns, for answers of at least 50 visible tokens, the median error must be at most
5 % and the 95th percentile at most 15 %. Run with `-s` to see the errors for each kind of text.
"""

import random
import sys
from collections.abc import Callable, Sequence
from statistics import median

import pytest

from actors.usage.estimator import LearningEstimator
from tests.actors.usage.token_texts import HALVES, KINDS, texts
from tests.actors.usage.vocabularies import (
    LEAST_TOKENS,
    Answer,
    deltas_by_size,
    merged_deltas,
    one_delta,
    one_delta_per_token,
    sentencepiece,
    tekken,
)

TURNS = 20
MODELS = 12
"""Number of independent estimators, each with different turns in a different order."""

DISCONNECTS = 10
"""Number of disconnects per model and kind of text."""

Answers = dict[str, dict[str, list[Answer]]]
Style = Callable[[Answer, int, random.Random], int]
Errors = dict[str, list[float]]
"""Relative errors by kind of text."""


@pytest.fixture(scope="module", params=[tekken, sentencepiece], ids=["tekken", "sentencepiece"])
def answers(request: pytest.FixtureRequest) -> Answers:
    """Return every text, tokenized with one of the vocabularies."""
    tokenize = request.param()
    return {
        half: {k: [tokenize(text) for text in texts(half, k)] for k in KINDS} for half in HALVES
    }


def taught(answers: Answers, kinds: Sequence[str], style: Style, seed: int) -> LearningEstimator:
    """Return an estimator after 20 turns in random order, divided evenly among `kinds`."""
    order = [kinds[turn % len(kinds)] for turn in range(TURNS)]
    random.Random(seed).shuffle(order)
    dice = {kind: random.Random(f"{seed} {kind}") for kind in kinds}
    estimator = LearningEstimator()
    for kind in order:
        answer, rng = dice[kind].choice(answers["training"][kind]), dice[kind]
        tokens = len(answer.sizes)
        estimator.learn("m", answer.text, style(answer, tokens, rng), tokens)
    return estimator


def errors_of(estimator: LearningEstimator, answers: Answers, style: Style, seed: int) -> Errors:
    """Return the errors of estimates after disconnects at random tokens of random answers."""
    errors: Errors = {}
    for kind in KINDS:
        rng = random.Random(f"{seed} {kind} cut")
        for _ in range(DISCONNECTS):
            answer = rng.choice(answers["held_out"][kind])
            seen = rng.randint(LEAST_TOKENS, len(answer.sizes))
            deltas = style(answer, seen, rng)
            estimate = estimator.estimate("m", answer.visible(seen), deltas)
            errors.setdefault(kind, []).append(abs(estimate / seen - 1))
    return errors


def measured(answers: Answers, kinds: Sequence[str], style: Style) -> Errors:
    """Return the errors of all models; without `kinds` nothing is learnt."""
    sums: Errors = {kind: [] for kind in KINDS}
    for seed in range(MODELS):
        estimator = taught(answers, kinds, style, seed) if kinds else LearningEstimator()
        for kind, errors in errors_of(estimator, answers, style, seed).items():
            sums[kind] += errors
    return sums


def p95(errors: list[float]) -> float:
    return sorted(errors)[len(errors) * 95 // 100]


def show(title: str, errors: Errors) -> None:
    rows = {"all": [e for kind in KINDS for e in errors[kind]], **errors}
    figures = (f"{k} {median(e):.1%} / {p95(e):.1%}" for k, e in rows.items())
    sys.stdout.write(f"\n{title}: {', '.join(figures)}")


@pytest.mark.parametrize("style", [one_delta_per_token, merged_deltas, one_delta, deltas_by_size])
def test_errors_after_random_disconnects(answers: Answers, style: Style) -> None:
    errors = measured(answers, KINDS, style)
    show(style.__name__, errors)
    together = [error for kind in KINDS for error in errors[kind]]
    assert len(together) == MODELS * DISCONNECTS * len(KINDS)
    assert median(together) <= 0.05
    assert p95(together) <= 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_learning_from_one_kind_only(answers: Answers, kind: str) -> None:
    before, after = measured(answers, (), one_delta), measured(answers, (kind,), one_delta)
    show(f"learnt from {kind} only", after)
    assert median(after[kind]) <= 0.05
    assert all(median(after[k]) <= median(before[k]) + 0.02 for k in KINDS)


def test_before_anything_is_learnt(answers: Answers) -> None:
    errors = measured(answers, (), one_delta)
    show("nothing learnt", errors)
    assert all(median(errors[kind]) <= 0.25 for kind in KINDS)


def test_training_and_held_out_texts_are_disjoint() -> None:
    training = {text for kind in KINDS for text in texts("training", kind)}
    held_out = {text for kind in KINDS for text in texts("held_out", kind)}
    assert min(len(training), len(held_out)) > 50
    assert training.isdisjoint(held_out)


def test_texts_are_long_enough_to_be_cut(answers: Answers) -> None:
    for half in HALVES:
        for kind in KINDS:
            assert min(len(answer.sizes) for answer in answers[half][kind]) > 2 * LEAST_TOKENS
            for answer in answers[half][kind]:
                assert sum(answer.sizes) == len(answer.text.encode())
