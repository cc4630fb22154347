"""Tests of the text features: values, sampling and monotonicity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.usage.text_features import SAMPLE, SLICE, Features, features, sample

any_text = st.text(st.characters(), max_size=40)
"""Strategy that includes lone surrogates, since a decoder may let one pass."""

feature_text = st.text("aZ é_1.-\n\t 漢的かカ한жт।。\uff0c\uff01€😀\0\r", max_size=60)


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        ("", {}),
        ("word", {"words": 1.0}),
        ("two words", {"words": 2.0}),
        ("unquestionably", {"words": 1.0, "pieces": 0.4}),
        ("camelCase", {"words": 1.0, "pieces": 0.2 + 0.85}),
        ("HTML", {"words": 1.0, "pieces": 0.6}),
        ("a" * 32, {"words": 1.0, "pieces": 0.2 * 5 + 1.5 * 2}),
        ("naïve", {"words": 1.0, "others": 0.6}),
        ("2024", {"numbers": 4 * 0.75 + 1.1}),
        ("1, 2", {"numbers": 2 * (0.75 + 1.1), "signs": 0.14 + 0.6}),
        ("a != b", {"words": 2.0, "signs": 2 * 0.14 + 0.6 + 0.2}),
        ("a\n    b", {"words": 2.0, "signs": 0.34 + 0.88}),
        ("a\n\t\tb", {"words": 2.0, "signs": 0.34 + 2 * 0.47 + 0.5}),
        ("snake_case", {"words": 2.0, "signs": 0.37}),
        (" " * 32, {"signs": 0.88 + 2 * 0.5}),
        ("“”—", {"signs": 3 * 1.15}),
        ("😀", {"signs": 2.35}),
        ("的一", {"cjk": 2 * 0.74 + 0.9}),
        ("的\uff0c一。", {"cjk": 2 * (0.74 + 0.9 + 0.6)}),
        ("鱻", {"cjk": 0.74 + 0.9, "rare": 0.7}),
        ("㐀", {"cjk": 0.74, "rare": 0.7}),
        ("かな", {"syllables": 2 * 0.7}),
        ("한국", {"syllables": 2 * 1.0}),
        ("да нет", {"others": 5 * 0.26 + 2 * 0.62}),
        ("नम", {"others": 2 * 0.6}),
        ("ｶ", {"others": 1.0}),
        ("\0\r", {}),
    ],
)
def test_features_of_short_texts(text: str, worth: dict[str, float]) -> None:
    assert features(text) == pytest.approx(Features(**worth))


@given(any_text)
def test_any_text_has_features(text: str) -> None:
    assert all(value >= 0.0 for value in features(text))


@given(feature_text, feature_text)
def test_features_never_shrink_when_text_is_appended(text: str, more: str) -> None:
    before, after = features(text), features(text + more)
    assert all(b <= a for b, a in zip(before, after, strict=True))


@pytest.mark.parametrize("line", ["The quick brown fox, again.\n", "敏捷的狐狸跳过了懒狗。\n"])
def test_a_long_text_counts_in_proportion(line: str) -> None:
    times = 200_000 // len(line)
    once, all_of_it = sum(features(line * 10)) / 10, sum(features(line * times))
    assert all_of_it == pytest.approx(times * once, rel=0.03)


def test_long_text_is_sampled_evenly() -> None:
    words = "word " * 40_000
    mixed = sum(features(words + "漢" * len(words)))
    apart = sum(features(words)) + sum(features("漢" * len(words)))
    assert mixed == pytest.approx(apart, rel=0.03)


def test_every_character_counts_up_to_the_sample_size() -> None:
    assert features("漢" * (SAMPLE - 1) + "x").words == 1.0
    assert features("漢" * (2 * SAMPLE) + "x").words == (2 * SAMPLE + 1) / SAMPLE


@pytest.mark.parametrize("size", [10, SLICE, 2 * SLICE, 10 * SLICE + 9, 99_999, 10**6])
def test_sample_has_the_size_and_both_ends(size: int) -> None:
    text = "".join(map(str, range(30_000)))
    found = sample(text, size)
    assert min(size, len(text)) - SLICE < len(found) <= size
    assert text.startswith(found[:10])
    assert size < 2 * SLICE or text.endswith(found[-SLICE:])


def test_empty_text_has_no_features() -> None:
    assert features("") == Features()
