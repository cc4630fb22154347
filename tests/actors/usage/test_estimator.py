"""Tests of the estimator: learning, ignored reports, bounds and stored state."""

import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall
from actors.usage.estimator import (
    ENOUGH_PROMPTS,
    MAX_MODELS,
    MOST_ADDED,
    TOKENS_PER_MESSAGE,
    LearningEstimator,
    Learnt,
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


def test_models_do_not_learn_from_each_other() -> None:
    assert taught("other").estimate("m", LINE) == LearningEstimator().estimate("m", LINE)


@pytest.mark.parametrize("tokens", [0, -1, 10**9, 10**400, 1])
def test_implausible_counts_are_ignored(tokens: int) -> None:
    estimator = LearningEstimator()
    estimator.learn("m", LINE * 10, 150, tokens)
    assert estimator.dump() == ()


def test_answer_without_text_is_ignored() -> None:
    estimator = LearningEstimator()
    estimator.learn("m", "", 0, 12)
    assert estimator.dump() == ()


def test_single_report_with_hidden_reasoning_changes_little() -> None:
    estimator = taught(tokens=16, deltas=16)
    before = estimator.estimate("m", LINE * 10, 160)
    estimator.learn("m", LINE * 10, 160, 450)
    assert estimator.estimate("m", LINE * 10, 160) == pytest.approx(before, rel=0.03)


def test_estimating_does_not_create_a_model() -> None:
    estimator = LearningEstimator()
    estimator.estimate("m", LINE, 3)
    estimator.estimate_input("m", call(LINE))
    assert estimator.dump() == ()


def test_least_recently_used_model_is_dropped() -> None:
    estimator = LearningEstimator()
    for number in range(MAX_MODELS):
        estimator.learn(f"m{number}", LINE, 15, 15)
    estimator.estimate("m0", LINE)
    estimator.learn("another", LINE, 15, 15)
    models = [state.model for state in estimator.dump()]
    assert len(models) == MAX_MODELS
    assert "m1" not in models
    assert models[-2:] == ["m0", "another"]


def test_state_round_trips_through_json() -> None:
    estimator = taught()
    for _ in range(ENOUGH_PROMPTS):
        estimator.learn_input("m", call(LINE * 20), 400)
    kept = msgspec.json.encode(estimator.dump())
    again = LearningEstimator()
    again.load(msgspec.json.decode(kept, type=tuple[Learnt, ...]))
    assert again.dump() == estimator.dump()
    assert again.estimate("m", LINE * 3, 80) == estimator.estimate("m", LINE * 3, 80)
    assert again.estimate_input("m", call(LINE)) == estimator.estimate_input("m", call(LINE))


def test_invalid_state_is_not_loaded() -> None:
    good = taught().dump()
    spoilt = msgspec.structs.replace(good[0], model="spoilt", weights=(1.0, 1.0))
    odd = msgspec.structs.replace(good[0], model="odd", prompts=(float("nan"), -1.0, 0.0))
    estimator = LearningEstimator()
    estimator.load((spoilt, odd, *good))
    assert [state.model for state in estimator.dump()] == ["odd", "m"]
    assert estimator.dump()[0].prompts == ()


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
    estimator.learn_input("m", call([text, image]), 900)
    estimator.learn_input("m", call(LINE * 20), 0)
    estimator.learn_input("m", call(LINE * 20), 10**9)
    assert estimator.dump() == ()
