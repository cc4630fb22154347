"""Logprobs in the shapes of Responses, whatever a provider leaves out of them."""

import json

import pytest
from openai.types.responses.response_output_text import Logprob as InPart
from openai.types.responses.response_text_delta_event import Logprob as InDelta

from tests.web.dialects.strict import strictly
from web.dialects.responses_logprobs import SpelledLogprobs

HALF = '{"token":"\\ufffd","logprob":-1,"bytes":[240,159],"top_logprobs":[]}'
"""A token that is no character by itself: only its bytes say what it is."""


def told(*tokens: str) -> str:
    """As a provider tells it."""
    return f'{{"content":[{",".join(tokens)}],"refusal":null}}'


def spelled(*given: str) -> tuple[list[object], list[object]]:
    """As deltas and as parts have them, each checked."""
    logprobs = SpelledLogprobs(given)
    in_delta, in_part = bytes(logprobs.in_delta), bytes(logprobs.in_part)
    strictly(list[InDelta], in_delta)
    strictly(list[InPart], in_part)
    return json.loads(in_delta), json.loads(in_part)


def test_there_may_be_none() -> None:
    assert spelled() == ([], [])


def test_bytes_are_the_providers_own() -> None:
    in_delta, in_part = spelled(told(HALF))
    token = {"token": "\ufffd", "logprob": -1.0, "top_logprobs": []}
    assert in_delta == [token]
    assert in_part == [{**token, "bytes": [240, 159]}]


@pytest.mark.parametrize("bytes", ["", ',"bytes":null'])
@pytest.mark.parametrize("top", ["", ',"top_logprobs":null', ',"top_logprobs":[]'])
def test_what_is_missing_is_made_up_for(bytes: str, top: str) -> None:
    in_delta, in_part = spelled(told(f'{{"token":"é","logprob":-1{bytes}{top}}}', HALF))
    first = {"token": "é", "logprob": -1.0, "top_logprobs": []}
    half = {"token": "\ufffd", "logprob": -1.0, "top_logprobs": []}
    assert in_delta == [first, half]
    assert in_part == [{**first, "bytes": [195, 169]}, {**half, "bytes": [240, 159]}]


@pytest.mark.parametrize(
    "wrong",
    ["", "null", "[]", "{}", '{"content":null}', '{"content":[]}', '{"content":[{"token":1}]}'],
)
def test_what_is_made_up_wrongly_is_left_out(wrong: str) -> None:
    right = told(HALF)
    assert spelled(wrong) == ([], [])
    assert spelled(right, wrong, right) == tuple(2 * shape for shape in spelled(right))


def test_each_piece_returns_as_its_delta_has_it() -> None:
    logprobs = SpelledLogprobs()
    first = bytes(logprobs.add(told(HALF)))
    assert json.loads(first) == json.loads(bytes(logprobs.in_delta))
    assert bytes(logprobs.add("{")) == b"[]"
