"""Tests of the delta fit: deltas get weight only as far as they follow tokens."""

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest

from actors.usage.delta_fit import ENOUGH, LOWEST, WINDOW, DeltaFit, DeltaTurn


def latin(deltas: int, tokens: int, by_text: float | None = None) -> DeltaTurn:
    by_text = tokens * 1.06 if by_text is None else by_text
    return DeltaTurn(deltas, tokens, by_text, wide=0.0, split=0.0)


def chinese(deltas: int, tokens: int, split: float) -> DeltaTurn:
    return DeltaTurn(deltas, tokens, tokens * 1.06, wide=tokens * 0.9, split=split)


def after(turns: Iterable[DeltaTurn]) -> DeltaFit:
    fit = DeltaFit()
    for turn in turns:
        fit.learn(turn)
    return fit


def test_one_token_per_delta_is_estimated_by_deltas() -> None:
    fit = after(latin(n, n) for n in range(100, 110))
    assert fit.adjust(130.0, 100, 0.0, 0.0) == pytest.approx(100, rel=0.005)


def test_counted_end_token_changes_little() -> None:
    fit = after(latin(n, n + 1) for n in range(100, 110))
    assert fit.adjust(130.0, 100, 0.0, 0.0) == pytest.approx(101, rel=0.01)


def test_only_text_is_used_before_enough_turns() -> None:
    fit = after(latin(100, 100) for _ in range(ENOUGH - 1))
    assert fit.adjust(130.0, 100, 0.0, 0.0) == 130.0


def test_only_text_is_used_without_deltas() -> None:
    fit = after(latin(100, 100) for _ in range(10))
    assert fit.adjust(130.0, 0, 0.0, 0.0) == 130.0


def test_turns_with_few_deltas_are_ignored() -> None:
    fit = after(latin(1, 250 + n) for n in range(20))
    assert fit.adjust(60.0, 1, 0.0, 0.0) == 60.0
    assert fit.turns == ()


def test_deltas_of_random_size_get_little_weight() -> None:
    rng = random.Random(1)
    fit = after(latin(20, rng.randint(40, 400), by_text=220.0) for _ in range(20))
    rather_text = fit.adjust(100.0, 10, 0.0, 0.0)
    reliable = after(latin(20, 100, by_text=130.0) for _ in range(20))
    rather_deltas = reliable.adjust(100.0, 16, 0.0, 0.0)
    assert rather_text == pytest.approx(100.0, rel=0.12)
    assert rather_deltas == pytest.approx(80.0, rel=0.02)


def test_outliers_do_not_move_the_ratio() -> None:
    turns = [latin(n, n if n % 4 else 5 * n) for n in range(100, 121)]
    assert after(turns).adjust(110.0, 100, 0.0, 0.0) == pytest.approx(100, rel=0.01)


def test_characters_of_several_tokens_come_in_one_delta() -> None:
    turns = [latin(n, n) for n in range(100, 106)]
    turns += [chinese(n, n + 20, split=40.0) for n in range(100, 106)]
    fit = after(turns)
    assert fit.adjust(130.0, 100, 0.0, 0.0) == pytest.approx(100, rel=0.005)
    assert fit.adjust(130.0, 100, 110.0, 40.0) == pytest.approx(120, rel=0.02)


def test_merged_deltas_are_bounded_by_the_text() -> None:
    fit = after(latin(n, n) for n in range(100, 110))
    assert fit.adjust(300.0, 3, 0.0, 0.0) == pytest.approx(LOWEST * 300.0, rel=0.01)


def test_estimate_never_shrinks_with_more_deltas() -> None:
    rng = random.Random(2)
    fit = after(latin(50, rng.randint(50, 80)) for _ in range(12))
    estimates = [fit.adjust(100.0, deltas, 0.0, 0.0) for deltas in range(1, 1_000)]
    assert all(less <= more for less, more in pairwise(estimates))
    assert estimates[0] < estimates[-1]


def test_old_turns_are_dropped() -> None:
    fit = after([*(latin(50, 100) for _ in range(30)), *(latin(50, 50) for _ in range(WINDOW))])
    assert len(fit.turns) == WINDOW
    assert fit.adjust(60.0, 50, 0.0, 0.0) == pytest.approx(50, rel=0.02)


def test_state_can_be_restored() -> None:
    fit = after(latin(n, 2 * n) for n in range(50, 60))
    assert DeltaFit(fit.turns).adjust(70.0, 40, 0.0, 0.0) == fit.adjust(70.0, 40, 0.0, 0.0)


@pytest.mark.parametrize(
    "turn",
    [
        latin(0, 100),
        latin(-5, 100),
        latin(100, 0),
        latin(100, 100, by_text=float("nan")),
        DeltaTurn(100, 100, 100.0, wide=float("inf"), split=0.0),
        DeltaTurn(100, 100, 100.0, wide=0.0, split=-1.0),
    ],
)
def test_uninformative_turns_are_ignored(turn: DeltaTurn) -> None:
    assert after([turn]).turns == DeltaFit((turn,)).turns == ()
