"""Tests of the embeddings format: requests, and answers in both encodings."""

import base64
import struct
from array import array

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.formats.embeddings import (
    EmbeddingCall,
    Embeddings,
    embedding_parts,
    read_embeddings,
)
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import Usage

NUMBERS = [0.5, -0.25, 1.0]
BASE64 = base64.b64encode(struct.pack("<3f", *NUMBERS)).decode()


def asking(*texts: str, as_base64: bool = False, **parameters: object) -> EmbeddingCall:
    return EmbeddingCall(input=list(texts), texts=texts, as_base64=as_base64, parameters=parameters)


def read(document: object, ask: EmbeddingCall | None = None) -> Embeddings:
    data = document if isinstance(document, bytes) else msgspec.json.encode(document)
    return read_embeddings(data, ask or asking("a"), lambda text: text.replace("sk-1", "*"))


def item(embedding: object = NUMBERS, **more: object) -> dict[str, object]:
    return {"object": "embedding", "embedding": embedding, **more}


def failure_of(document: object, ask: EmbeddingCall | None = None) -> UpstreamFailure:
    with pytest.raises(UpstreamFailure) as caught:
        read(document, ask)
    return caught.value


def shown(found: Embeddings) -> list[object]:
    return [msgspec.json.decode(vector) for vector in found.vectors]


def test_request() -> None:
    ask = asking("a", "b", dimensions=3, encoding_format="base64", user="u", extra=[1])
    parts = embedding_parts(ask, "/embeddings", "m", "sk-1")
    assert parts.path == "/embeddings"
    assert dict(parts.headers)["authorization"] == "Bearer sk-1"
    assert msgspec.json.decode(parts.body) == {
        "model": "m",
        "input": ["a", "b"],
        "dimensions": 3,
        "encoding_format": "base64",
        "user": "u",
        "extra": [1],
    }
    assert "authorization" not in dict(embedding_parts(ask, "/e", "m", None).headers)


def test_parameters_cannot_override_the_model() -> None:
    parts = embedding_parts(asking("a", model="other", input="x"), "/e", "m", None)
    body = msgspec.json.decode(parts.body)
    assert (body["model"], body["input"]) == ("m", ["a"])


def test_vectors_are_passed_on_verbatim() -> None:
    data = b'{"data":[{"index":0,"embedding":[ 0.10,1e-3]}],"usage":{"prompt_tokens":7}}'
    found = read(data)
    assert bytes(found.vectors[0]) == b"[ 0.10,1e-3]"
    assert found.usage == Usage(input_tokens=7, output_tokens=0)


def test_vectors_come_in_the_order_of_their_inputs() -> None:
    document = {"data": [item([2.0], index=1), item([1.0], index=0)]}
    assert shown(read(document, asking("a", "b"))) == [[1.0], [2.0]]
    document = {"data": [item([1.0]), item([2.0])]}
    assert shown(read(document, asking("a", "b"))) == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("given", "as_base64", "wanted"),
    [
        (NUMBERS, False, NUMBERS),
        (BASE64, True, BASE64),
        (NUMBERS, True, BASE64),
        (BASE64, False, NUMBERS),
        ([1, 2], True, base64.b64encode(struct.pack("<2f", 1, 2)).decode()),
        ("", False, []),
    ],
)
def test_vectors_are_converted_to_the_requested_encoding(
    given: object, as_base64: bool, wanted: object
) -> None:
    assert shown(read({"data": [item(given)]}, asking("a", as_base64=as_base64))) == [wanted]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_conversion_between_encodings_is_exact(numbers: list[float]) -> None:
    packed = read({"data": [item(numbers)]}, asking("a", as_base64=True))
    back = read({"data": [item(shown(packed)[0])]})
    assert array("f", msgspec.json.decode(back.vectors[0])) == array("f", numbers)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 0, "total_tokens": 0}, 0),
        ({"total_tokens": 9}, 9),
        ({"prompt_tokens": None, "total_tokens": 9}, 9),
        ({"prompt_tokens": 3, "total_tokens": 9}, 3),
        ({}, None),
        (None, None),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": "many"}, None),
        ({"prompt_tokens": 2**60}, None),
        ("free", None),
    ],
)
def test_only_valid_usage_is_read(usage: object, tokens: int | None) -> None:
    found = read({"data": [item()], "usage": usage}).usage
    assert (found and found.input_tokens) == tokens


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"", "not one of embeddings"),
        (b"<html>", "not one of embeddings"),
        (b'"\xff"', "not one of embeddings"),
        ([], "not one of embeddings"),
        ({"data": {}}, "not one of embeddings"),
        ({"data": [{"object": "embedding"}]}, "not one of embeddings"),
        ({"data": [item(index=-1)]}, "not one of embeddings"),
        ({}, "0 embeddings for 1 inputs"),
        ({"data": []}, "0 embeddings for 1 inputs"),
        ({"data": [item(), item()]}, "2 embeddings for 1 inputs"),
        ({"data": [item(index=1)]}, "not numbered"),
        ({"data": [item(None)]}, "neither numbers nor base64"),
        ({"data": [item({})]}, "neither numbers nor base64"),
        ({"data": [item("no base64")]}, "not base64"),
        ({"data": [item("aGFs")]}, "not base64"),
        ({"data": [item(base64.b64encode(struct.pack("<f", float("nan"))).decode())]}, "no number"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_invalid_answers_fail(document: object, words: str) -> None:
    failure = failure_of(document)
    assert failure.kind is FailureKind.MALFORMED
    assert words in failure.message


@pytest.mark.parametrize("vector", [["a"], [[1.0]], [None]])
def test_unencodable_vectors_fail(vector: object) -> None:
    failure = failure_of({"data": [item(vector)]}, asking("a", as_base64=True))
    assert failure.kind is FailureKind.MALFORMED


def test_duplicate_vector_indexes_fail() -> None:
    document = {"data": [item(index=0), item(index=0)]}
    assert "not numbered" in failure_of(document, asking("a", "b")).message


def test_an_error_of_status_200() -> None:
    failure = failure_of({"error": {"message": "no sk-1", "code": "quota", "type": "sk-1"}})
    assert failure.kind is FailureKind.IN_STREAM_ERROR
    assert (failure.message, failure.code, failure.type) == ("no *", "quota", "*")
    assert failure_of({"error": True}).kind is FailureKind.IN_STREAM_ERROR


@given(st.binary(max_size=60))
def test_arbitrary_bytes_give_an_answer_or_a_failure(data: bytes) -> None:
    assert failure_of(data).kind in {FailureKind.MALFORMED, FailureKind.IN_STREAM_ERROR}
