"""Embeddings as served by the simulated provider."""

import msgspec
import pytest

from actors.providers.simulated import script
from actors.providers.simulated.embeddings import unit_vector
from actors.turn.chunks import FinishChunk, TextChunk, UsageChunk
from actors.turn.outcome import ErrorInfo, Reason, Usage
from web.drill.witness.formats.base import IncomingCall
from web.drill.witness.formats.embeddings import WIRE
from web.http.api_error import ApiError

PATH = "/v1/embeddings"


def read(**changes: object) -> IncomingCall:
    body = {"model": "sim", "input": ["a", "b"]} | changes
    return WIRE.read(PATH, msgspec.json.encode(body))


def body(ask: IncomingCall, *chunks: TextChunk | UsageChunk | FinishChunk) -> dict[str, object]:
    made = WIRE.renderer(ask, 1, 1_700_000_000).whole(chunks)
    return msgspec.json.decode(made, type=dict[str, object])


def test_only_its_path_is_taken() -> None:
    assert WIRE.matches(PATH)
    assert not WIRE.matches("/v1/chat/completions")


def test_answer() -> None:
    usage = UsageChunk(Usage(input_tokens=2, output_tokens=1))
    found = body(read(dimensions=3), TextChunk("x"), FinishChunk(Reason.LENGTH), usage)
    items = found.pop("data")
    assert found == {
        "object": "list",
        "model": "sim",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    assert isinstance(items, list)
    assert [item["index"] for item in items] == [0, 1]
    assert items[1]["embedding"] == pytest.approx(list(unit_vector("sim", "b", 3)))


def test_answer_without_usage() -> None:
    assert "usage" not in body(read())


def test_script_is_one_token() -> None:
    steps = script(read(model="sim:tokens=60", user="u").call)
    assert [step.tokens for step in steps.steps if step.tokens] == [1]
    assert read(user="u", metadata={"a": 1}).user == "u"
    assert read(metadata={"a": 1}).metadata == {"a": 1}


@pytest.mark.parametrize(
    ("changes", "param"),
    [({"model": 5}, "model"), ({"input": []}, "input"), ({"dimensions": 5000}, "dimensions")],
)
def test_invalid_field_is_rejected(changes: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        read(**changes)
    assert caught.value.info.param == param


def test_malformed_body_is_rejected() -> None:
    for data in (b"", b"[]", b"{"):
        with pytest.raises(ApiError):
            WIRE.read(PATH, data)


def test_errors_have_the_format_of_chats() -> None:
    body = WIRE.error_body(ErrorInfo(status=429, message="Slow", code="r"))
    assert msgspec.json.decode(body)["error"]["code"] == "r"
