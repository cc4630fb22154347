"""What is charged: the provider's figure, or an estimate that says that it is one."""

import pytest
from hypothesis import given

from actors.providers.base import ModelCall
from actors.usage import TOKENS_PER_MESSAGE, Constants, estimate_input, estimate_tokens
from tests.actors.samples import short_text


def call(*contents: object) -> ModelCall:
    messages: list[dict[str, object]] = [{"role": "user", "content": c} for c in contents]
    return ModelCall(upstream_model="m", messages=messages, parameters={})


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("a" * 8, 2),
        ("a" * 400, 100),
        ("漢", 1),
        ("漢字" * 5, 14),
        ("かな", 3),
        ("한국", 3),
        ("aaaa漢字", 4),
        ("é" * 8, 2),
    ],
)
def test_an_estimate(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(short_text)
def test_only_an_empty_text_is_free(text: str) -> None:
    assert (estimate_tokens(text) == 0) == (text == "")


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ("a" * 8, 2),
        (None, 0),
        (17, 0),
        ([{"type": "text", "text": "a" * 8}, {"type": "text", "text": "a" * 4}], 3),
        ([{"type": "image_url", "image_url": {"url": "https://x/" + "a" * 100}}], 0),
        ([], 0),
    ],
)
def test_the_input_is_the_text_of_the_messages(content: object, tokens: int) -> None:
    assert estimate_input(call(content)) == TOKENS_PER_MESSAGE + tokens


def test_every_message_counts() -> None:
    assert estimate_input(call("a" * 8, "b" * 8)) == 2 * (TOKENS_PER_MESSAGE + 2)


def test_the_constants_are_an_estimator_that_learns_nothing() -> None:
    constants = Constants()
    constants.learn("m", "a" * 12, 1, 1000)
    assert constants.estimate("m", "b" * 12, 12) == 3
    assert constants.estimate_input("m", call("a" * 8)) == TOKENS_PER_MESSAGE + 2
