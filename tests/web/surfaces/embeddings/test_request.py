"""Embeddings requests: their parsing, and errors that name the path of the field."""

import json

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.turn.chat_messages import write_messages
from actors.usage.estimator import estimate_tokens
from web.http.api_error import ApiError
from web.http.json_body import read_json
from web.surfaces.embeddings.request import MAX_INPUTS, EmbeddingRequest, read_embedding_request

BODY: dict[str, object] = {"model": "m", "input": "Hello"}


def read(**changes: object) -> EmbeddingRequest:
    return read_embedding_request(BODY | changes)


def refused(body: dict[str, object]) -> tuple[str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        read_embedding_request(body)
    info = caught.value.info
    assert info.status == 400
    assert str(info.param) in info.message
    return info.param, info.code


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("a", ("a",)),
        (["a"], ("a",)),
        (["a", "b"], ("a", "b")),
    ],
)
def test_texts_are_read(given: object, texts: tuple[str, ...]) -> None:
    ask = read(input=given).call
    assert (ask.input, ask.texts) == (given, texts)
    assert [message["content"] for message in write_messages(ask.as_call().messages)] == list(texts)


@pytest.mark.parametrize("given", [[0], [1, 2, 3], [5] * 3000])
def test_estimate_of_token_input_is_its_length(given: list[int]) -> None:
    [text] = read(input=given).call.texts
    assert estimate_tokens(text) == len(given)


def test_each_list_of_tokens_is_one_input() -> None:
    ask = read(input=[[1, 2], [3]]).call
    assert ask.input == [[1, 2], [3]]
    assert [estimate_tokens(text) for text in ask.texts] == [2, 1]


def test_parameters_are_passed_to_the_provider() -> None:
    ask = read(dimensions=3, encoding_format="base64", user="u", input_type="query").call
    assert ask.as_base64
    assert ask.parameters == {
        "dimensions": 3,
        "encoding_format": "base64",
        "user": "u",
        "input_type": "query",
    }
    assert not read(encoding_format="float").call.as_base64
    assert not read(encoding_format=None, dimensions=None, user=None).call.as_base64


INVALID, MISSING = "invalid_value", "missing_required_parameter"


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"model": ""}, "model", INVALID),
        ({"model": 5}, "model", INVALID),
        ({"model": "m" * 513}, "model", INVALID),
        ({"input": None}, "input", MISSING),
        ({"input": 5}, "input", INVALID),
        ({"input": ""}, "input", INVALID),
        ({"input": []}, "input", INVALID),
        ({"input": {}}, "input", INVALID),
        ({"input": [None]}, "input[0]", INVALID),
        ({"input": ["a", ""]}, "input[1]", INVALID),
        ({"input": ["a", 5]}, "input[1]", INVALID),
        ({"input": ["a", ["b"]]}, "input[1]", INVALID),
        ({"input": [1, "a"]}, "input[1]", INVALID),
        ({"input": [1, -1]}, "input[1]", INVALID),
        ({"input": [1, True]}, "input[1]", INVALID),
        ({"input": [1.5]}, "input[0]", INVALID),
        ({"input": [-1]}, "input[0]", INVALID),
        ({"input": [[1], []]}, "input[1]", INVALID),
        ({"input": [[1], [2, "a"]]}, "input[1][1]", INVALID),
        ({"input": [[1], "a"]}, "input[1]", INVALID),
        ({"input": ["a"] * (MAX_INPUTS + 1)}, "input", INVALID),
        ({"input": [[1]] * (MAX_INPUTS + 1)}, "input", INVALID),
        ({"encoding_format": "hex"}, "encoding_format", INVALID),
        ({"dimensions": 0}, "dimensions", INVALID),
        ({"dimensions": "3"}, "dimensions", INVALID),
        ({"user": 5}, "user", INVALID),
    ],
    ids=lambda value: str(value)[:40],
)
def test_invalid_field_is_named(changes: dict[str, object], param: str, code: str) -> None:
    assert refused(BODY | changes) == (param, code)


@pytest.mark.parametrize("field", ["model", "input"])
def test_missing_field_is_named(field: str) -> None:
    body = {key: value for key, value in BODY.items() if key != field}
    assert refused(body) == (field, MISSING)


def test_error_names_the_limit() -> None:
    with pytest.raises(ApiError, match=str(MAX_INPUTS)):
        read(input=["a"] * (MAX_INPUTS + 1))
    assert len(read(input=["a"] * MAX_INPUTS).call.texts) == MAX_INPUTS


async def test_large_body_is_parsed_alike() -> None:
    body = BODY | {"input": ["a" * 1000] * 100}
    encoded = json.dumps(body).encode()
    found = await read_json(encoded, read_embedding_request, trio.CapacityLimiter(1))
    assert found == read_embedding_request(body)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["model", "input", "dimensions", "user"]), values))
def test_any_object_is_parsed_or_rejected(body: dict[str, object]) -> None:
    try:
        ask = read_embedding_request(body).call
    except ApiError:
        refused(body)
        return
    assert ask.input == body["input"]
    assert all(ask.texts)
