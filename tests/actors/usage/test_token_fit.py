"""Tests of the token fit: convergence, independence of order, and bounds."""

import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.usage.estimator import TEXT_SPREAD
from actors.usage.text_features import Features
from actors.usage.token_fit import HIGHEST, LOWEST, TokenFit

STRANGE = Features(
    words=1.1, pieces=1.6, signs=1.3, numbers=0.7, cjk=1.7, rare=0.5, syllables=2.0, others=0.6
)
"""Weights of a vocabulary that differs strongly from the constants."""


def some_answer(rng: random.Random, size: float = 300.0) -> Features:
    shares = [rng.random() ** 2 for _ in range(8)]
    return Features(*[size * share / sum(shares) for share in shares])


def tokens_of(found: Features, weights: Features = STRANGE) -> int:
    return round(sum(w * v for w, v in zip(weights, found, strict=True)))


def taught(turns: int, seed: int = 1, weights: Features = STRANGE) -> TokenFit:
    rng, fit = random.Random(seed), TokenFit(TEXT_SPREAD)
    for _ in range(turns):
        found = some_answer(rng)
        fit.learn(found, tokens_of(found, weights))
    return fit


def mean_error(fit: TokenFit, weights: Features = STRANGE) -> float:
    rng = random.Random(99)
    answers = [some_answer(rng) for _ in range(100)]
    return fmean(abs(fit.tokens(found) / tokens_of(found, weights) - 1) for found in answers)


def test_initial_weights_are_one() -> None:
    assert (
        TokenFit(TEXT_SPREAD).tokens(Features(words=3.0, pieces=0.5, signs=1.0, numbers=0.0)) == 4.5
    )


def test_weights_converge_to_a_vocabulary() -> None:
    assert mean_error(TokenFit(TEXT_SPREAD)) > 0.15
    assert mean_error(taught(20)) < 0.06
    assert mean_error(taught(100)) < 0.02


def test_the_order_of_answers_matters_little() -> None:
    rng = random.Random(3)
    answers = [some_answer(rng) for _ in range(20)]
    asked = [some_answer(rng) for _ in range(20)]
    estimates = []
    for _ in range(5):
        fit = TokenFit(TEXT_SPREAD)
        for found in answers:
            fit.learn(found, tokens_of(found))
        estimates.append([fit.tokens(found) for found in asked])
        rng.shuffle(answers)
    for same in zip(*estimates, strict=True):
        assert max(same) / min(same) < 1.05


@pytest.mark.parametrize("wrong", [1, 1_000, 10**9, 10**300])
def test_wrong_count_hardly_moves_the_fit(wrong: int) -> None:
    fit, rng = taught(20), random.Random(5)
    found = some_answer(rng)
    before = fit.tokens(found)
    fit.learn(found, wrong)
    assert fit.tokens(found) == pytest.approx(before, rel=0.05)


def test_another_vocabulary_is_learnt_after_the_first() -> None:
    plain = Features(*[1.0] * 8)
    fit, rng = taught(300), random.Random(7)
    for _ in range(60):
        found = some_answer(rng)
        fit.learn(found, tokens_of(found, plain))
    assert mean_error(fit, plain) < 0.04


def test_fit_stays_accurate_over_many_answers() -> None:
    fit = taught(3_000)
    assert mean_error(fit) < 0.01
    assert fit.error < 0.001


def test_error_is_that_of_the_estimates_so_far() -> None:
    fit = TokenFit([1.0])
    fit.learn([100.0], 150)
    assert fit.error == pytest.approx((1 / 3) ** 2)
    fit.learn([100.0], round(fit.tokens([100.0])))
    assert fit.error == pytest.approx((1 / 3) ** 2 / 2, rel=0.02)
    assert fit.answers == 2


hostile_answers = st.lists(
    st.tuples(
        st.tuples(*[st.floats(0.0, 1e7)] * 8).map(lambda parts: Features(*parts)),
        st.integers(1, 10**12),
    ),
    max_size=12,
)


@given(hostile_answers)
def test_weights_stay_in_bounds(answers: list[tuple[Features, int]]) -> None:
    fit = TokenFit(TEXT_SPREAD)
    for found, tokens in answers:
        fit.learn(found, tokens)
    for part in range(8):
        weight = fit.tokens([float(part == one) for one in range(8)])
        assert LOWEST <= weight <= HIGHEST
