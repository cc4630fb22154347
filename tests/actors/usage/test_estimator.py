"""Tests of the estimator: learning, ignored reports, bounds and stored state."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall
from actors.usage.estimator import (
    ENOUGH_PROMPTS,
    ENOUGH_TURNS,
    LEAST_BY_DELTAS,
    MAX_MODELS,
    MOST_ADDED,
    TOKENS_PER_MESSAGE,
    LearningEstimator,
)

LINE = "The lighthouse had been dark for eleven years when Tobias found the key.\n"
OFTEN = 12
"""Number of turns after which the estimates have converged."""


def call(*contents: object, **parameters: object) -> ModelCall:
    messages: list[dict[str, object]] = [{"role": "user", "content": c} for c in contents]
    return ModelCall(upstream_model="m", messages=read_messages(messages), parameters=parameters)


def taught(model: str = "m", *, tokens: int = 30, deltas: int = 30) -> LearningEstimator:
    """Return an estimator that learnt from answers with this many tokens and deltas per line."""
    estimator = LearningEstimator()
    for lines in range(1, OFTEN + 1):
        estimator.learn(model, LINE * lines, deltas * lines, tokens * lines)
    return estimator


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("\0", 1),
        (".", 1),
        (LINE, 15),
        ("if x == 10:\n    return None\n", 10),
        ("我们今天去北京。", 7),
        ("Привет, мир!", 5),
        ("😀", 2),
        ("\ud83d", 1),
    ],
)
def test_estimates_before_learning_use_the_constants(text: str, tokens: int) -> None:
    assert LearningEstimator().estimate("m", text) == tokens


def test_a_model_is_learnt_by_its_text() -> None:
    estimator = taught(tokens=20, deltas=0)
    assert estimator.estimate("m", LINE * 10) == pytest.approx(200, rel=0.05)


def test_a_model_is_learnt_by_its_deltas() -> None:
    estimator = taught(tokens=30, deltas=15)
    assert estimator.estimate("m", LINE * 10, 140) == pytest.approx(280, rel=0.02)


def test_deltas_are_not_used_before_enough_turns() -> None:
    estimator = LearningEstimator()
    for _ in range(ENOUGH_TURNS - 1):
        estimator.learn("m", LINE * 10, 150, 150)
    assert estimator.estimate("m", LINE * 10, 140) == estimator.estimate("m", LINE * 10)
    estimator.learn("m", LINE * 10, 150, 150)
    assert estimator.estimate("m", LINE * 10, 140) == pytest.approx(140, abs=1)


def test_turns_with_few_deltas_are_ignored() -> None:
    estimator = taught(tokens=17, deltas=0)
    for _ in range(OFTEN):
        estimator.learn("m", LINE * 10, 1, 170)
    assert estimator.estimate("m", LINE * 5, 1) == estimator.estimate("m", LINE * 5)


def test_deltas_of_random_size_get_little_weight() -> None:
    rng = random.Random(1)
    estimator = LearningEstimator()
    for _ in range(20):
        lines = rng.randint(3, 30)
        estimator.learn("m", LINE * lines, 20, 16 * lines)
    by_text = estimator.estimate("m", LINE * 10)
    assert estimator.estimate("m", LINE * 10, 10) == pytest.approx(by_text, rel=0.12)


def test_outliers_do_not_move_the_ratio() -> None:
    estimator = taught(tokens=16, deltas=16)
    for turn in range(1, 21):
        tokens = 160 if turn % 4 else 800
        estimator.learn("m", LINE * 10, 160, tokens)
    assert estimator.estimate("m", LINE * 10, 160) == pytest.approx(160, rel=0.05)


def test_characters_of_several_tokens_come_in_one_delta() -> None:
    estimator, rare = taught(tokens=16, deltas=16), "鱻龘靐齉"
    for lines in range(10, 10 + OFTEN):
        estimator.learn("m", LINE * lines, 16 * lines, 16 * lines)
        estimator.learn("m", rare * lines, 4 * lines, 8 * lines)
    assert estimator.estimate("m", LINE * 10, 160) == pytest.approx(160, rel=0.02)
    assert estimator.estimate("m", rare * 20, 80) == pytest.approx(160, rel=0.1)


def test_merged_deltas_are_bounded_by_the_text() -> None:
    estimator = taught(tokens=16, deltas=16)
    by_text = estimator.estimate("m", LINE * 20)
    merged = estimator.estimate("m", LINE * 20, 3)
    assert merged == pytest.approx(LEAST_BY_DELTAS * by_text, rel=0.02)


def test_estimate_never_shrinks_with_more_deltas() -> None:
    rng, estimator = random.Random(2), LearningEstimator()
    for _ in range(OFTEN):
        estimator.learn("m", LINE * 4, 50, rng.randint(50, 80))
    estimates = [estimator.estimate("m", LINE * 6, deltas) for deltas in range(1, 1_000)]
    assert all(less <= more for less, more in pairwise(estimates))
    assert estimates[0] < estimates[-1]


def test_models_do_not_learn_from_each_other() -> None:
    assert taught("other").estimate("m", LINE) == LearningEstimator().estimate("m", LINE)


@pytest.mark.parametrize("tokens", [0, -1, 10**9, 10**400, 1])
def test_implausible_counts_are_ignored(tokens: int) -> None:
    estimator = LearningEstimator()
    before = estimator.estimate("m", LINE * 10)
    for _ in range(OFTEN):
        estimator.learn("m", LINE * 10, 150, tokens)
    assert estimator.estimate("m", LINE * 10) == estimator.estimate("m", LINE * 10, 90) == before


def test_answer_without_text_is_ignored() -> None:
    estimator = LearningEstimator()
    for _ in range(OFTEN):
        estimator.learn("m", "", 0, 12)
    assert estimator.estimate("m", LINE) == LearningEstimator().estimate("m", LINE)


def test_single_report_with_hidden_reasoning_changes_little() -> None:
    estimator = taught(tokens=16, deltas=16)
    before = estimator.estimate("m", LINE * 10, 160)
    estimator.learn("m", LINE * 10, 160, 450)
    assert estimator.estimate("m", LINE * 10, 160) == pytest.approx(before, rel=0.03)


def test_estimating_for_unknown_models_drops_none_that_learnt() -> None:
    estimator = taught()
    learnt = estimator.estimate("m", LINE * 10)
    for number in range(MAX_MODELS):
        estimator.estimate(f"m{number}", LINE, 3)
        estimator.estimate_input(f"m{number}", call(LINE))
    assert estimator.estimate("m", LINE * 10) == learnt


def test_least_recently_used_model_is_dropped() -> None:
    estimator, text = LearningEstimator(), LINE * 10
    plain = estimator.estimate("", text)
    for number in range(MAX_MODELS):
        estimator.learn(f"m{number}", text, 0, 2 * plain)
    estimator.estimate("m0", text)
    estimator.learn("another", text, 0, 2 * plain)
    assert estimator.estimate("m0", text) > plain
    assert estimator.estimate("another", text) > plain
    assert estimator.estimate("m2", text) > plain
    assert estimator.estimate("m1", text) == plain


any_text = st.text(st.characters(), max_size=60)
turns = st.lists(st.tuples(any_text, st.integers(-1, 10**6), st.integers(-1, 10**12)), max_size=30)


@given(turns, any_text, st.integers(-1, 10**9))
def test_estimate_stays_in_bounds_after_arbitrary_reports(
    learnt: list[tuple[str, int, int]], text: str, deltas: int
) -> None:
    estimator = LearningEstimator()
    for one, came_in, tokens in learnt:
        estimator.learn("m", one, came_in, tokens)
    estimate = estimator.estimate("m", text, deltas)
    assert (estimate == 0) == (text == "")
    assert 0 <= estimate <= max(1, 64 * len(text))


@given(turns, st.lists(any_text, min_size=2, max_size=6))
def test_estimate_by_text_never_shrinks(
    learnt: list[tuple[str, int, int]], pieces: list[str]
) -> None:
    estimator = LearningEstimator()
    for one, came_in, tokens in learnt:
        estimator.learn("m", one, came_in, tokens)
    grown = ["".join(pieces[:count]) for count in range(len(pieces) + 1)]
    estimates = [estimator.estimate("m", text) for text in grown]
    assert all(less <= more for less, more in pairwise(estimates))


def test_estimate_grows_in_a_stream_of_two_scripts() -> None:
    estimator = taught(tokens=17, deltas=17)
    for lines in range(1, OFTEN):
        estimator.learn("m", "黄河之水天上来\uff0c奔流到海不复回。" * lines, 14 * lines, 19 * lines)
    stream = [
        "黄",
        "河",
        "之",
        "水",
        " is",
        " a",
        " line",
        " of",
        " verse",
        "\uff0c",
        "天上",
        "来",
    ] * 20
    texts = ["".join(stream[:count]) for count in range(len(stream) + 1)]
    estimates = [estimator.estimate("m", text, deltas) for deltas, text in enumerate(texts)]
    assert all(less <= more for less, more in pairwise(estimates))


def test_the_order_of_turns_matters_little() -> None:
    rng = random.Random(4)
    finished = [(LINE * n, 16 * n + rng.randint(-n, n)) for n in range(1, 21)]
    estimates = []
    for _ in range(6):
        estimator = LearningEstimator()
        for text, tokens in finished:
            estimator.learn("m", text, tokens // 3, tokens)
        estimates.append(estimator.estimate("m", LINE * 10, 53))
        rng.shuffle(finished)
    assert max(estimates) <= 1.03 * min(estimates)


def test_prompt_estimate_adds_tokens_per_message() -> None:
    estimator = LearningEstimator()
    one = estimator.estimate("m", LINE)
    assert estimator.estimate_input("m", call(LINE)) == TOKENS_PER_MESSAGE + one
    both = 2 * TOKENS_PER_MESSAGE + estimator.estimate("m", LINE * 2)
    assert estimator.estimate_input("m", call(LINE, LINE)) == both
    assert estimator.estimate_input("m", call()) == 0


def test_template_overhead_is_learnt_from_prompts() -> None:
    estimator, asked = LearningEstimator(), call(LINE * 20)
    plain = estimator.estimate_input("m", asked)
    for _ in range(ENOUGH_PROMPTS - 1):
        estimator.learn_input("m", asked, plain + plain // 4)
    assert estimator.estimate_input("m", asked) == plain
    estimator.learn_input("m", asked, plain + plain // 4)
    assert estimator.estimate_input("m", asked) == pytest.approx(1.25 * plain, rel=0.01)


def test_hidden_system_prompt_has_bounded_effect() -> None:
    estimator, short, long = LearningEstimator(), call("Hi"), call(LINE * 20)
    plain = estimator.estimate_input("m", long)
    for _ in range(OFTEN):
        estimator.learn_input("m", short, 60)
    assert estimator.estimate_input("m", long) == plain
    for _ in range(OFTEN):
        estimator.learn_input("m", long, 4 * plain)
    assert estimator.estimate_input("m", long) == pytest.approx(MOST_ADDED * plain, abs=1)


def test_prompts_with_images_and_implausible_counts_are_ignored() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    text = {"type": "text", "text": LINE * 20}
    estimator = LearningEstimator()
    before = estimator.estimate_input("m", call(LINE * 20))
    for _ in range(OFTEN):
        estimator.learn_input("m", call([text, image]), 900)
        estimator.learn_input("m", call(LINE * 20), 0)
        estimator.learn_input("m", call(LINE * 20), 10**9)
    assert estimator.estimate_input("m", call(LINE * 20)) == before
