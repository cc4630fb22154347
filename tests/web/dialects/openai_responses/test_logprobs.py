"""Tests of logprobs in the form of the Responses API, whatever a provider leaves out."""

import json

import pytest
from openai.types.responses.response_output_text import Logprob as InPart
from openai.types.responses.response_text_delta_event import Logprob as InDelta

from tests.support.strict_types import strictly
from web.dialects.openai_responses.logprobs import EncodedLogprobs

HALF = '{"token":"\\ufffd","logprob":-1,"bytes":[240,159],"top_logprobs":[]}'
"""A token that is only a part of a character, so that only its bytes identify it."""


def provider_json(*tokens: str) -> str:
    """Return logprobs in the form that a provider sends."""
    return f'{{"content":[{",".join(tokens)}],"refusal":null}}'


def converted(*given: str) -> tuple[list[object], list[object]]:
    """Return the logprobs in the forms of deltas and of parts, after checking each."""
    logprobs = EncodedLogprobs(given)
    in_delta, in_part = bytes(logprobs.in_delta), bytes(logprobs.in_part)
    strictly(list[InDelta], in_delta)
    strictly(list[InPart], in_part)
    return json.loads(in_delta), json.loads(in_part)


def test_no_logprobs_give_empty_lists() -> None:
    assert converted() == ([], [])


def test_provider_bytes_are_kept() -> None:
    in_delta, in_part = converted(provider_json(HALF))
    token = {"token": "\ufffd", "logprob": -1.0, "top_logprobs": []}
    assert in_delta == [token]
    assert in_part == [{**token, "bytes": [240, 159]}]


@pytest.mark.parametrize("bytes", ["", ',"bytes":null'])
@pytest.mark.parametrize("top", ["", ',"top_logprobs":null', ',"top_logprobs":[]'])
def test_missing_fields_are_filled_in(bytes: str, top: str) -> None:
    in_delta, in_part = converted(provider_json(f'{{"token":"é","logprob":-1{bytes}{top}}}', HALF))
    first = {"token": "é", "logprob": -1.0, "top_logprobs": []}
    half = {"token": "\ufffd", "logprob": -1.0, "top_logprobs": []}
    assert in_delta == [first, half]
    assert in_part == [{**first, "bytes": [195, 169]}, {**half, "bytes": [240, 159]}]


@pytest.mark.parametrize(
    "wrong",
    ["", "null", "[]", "{}", '{"content":null}', '{"content":[]}', '{"content":[{"token":1}]}'],
)
def test_malformed_logprobs_are_dropped(wrong: str) -> None:
    right = provider_json(HALF)
    assert converted(wrong) == ([], [])
    assert converted(right, wrong, right) == tuple(2 * shape for shape in converted(right))


def test_add_returns_the_form_of_a_delta() -> None:
    logprobs = EncodedLogprobs()
    first = bytes(logprobs.add(provider_json(HALF)))
    assert json.loads(first) == json.loads(bytes(logprobs.in_delta))
    assert bytes(logprobs.add("{")) == b"[]"
