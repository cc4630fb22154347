"""What is charged: the provider's figure, or an estimate that says that it is one."""

import pytest
from hypothesis import given

from actors.outcome import Usage
from actors.providers.base import ModelCall
from actors.usage import TOKENS_PER_MESSAGE, charged, estimate_input, estimate_tokens
from tests.actors.samples import USAGE, short_text


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


def test_the_providers_figure_stands() -> None:
    assert charged(USAGE, call("a"), "whatever") is USAGE


def test_without_one_what_was_generated_is_estimated() -> None:
    assert charged(None, call("a" * 8), "b" * 12) == Usage(
        input_tokens=TOKENS_PER_MESSAGE + 2, output_tokens=3, estimated=True
    )
