"""Tests of the helpers for converting parameters."""

from typing import Any

import pytest

from actors.providers.formats.parameters import (
    Writer,
    beneath,
    into,
    is_default_value,
    normalised,
    write_parameters,
)


@pytest.mark.parametrize(
    ("given", "effort", "left_out"),
    [
        ({"reasoning": {"effort": "high"}}, "high", []),
        ({"reasoning": {"effort": "high", "summary": None}}, "high", []),
        ({"reasoning": {"effort": "high", "max_tokens": 9}}, "high", ["reasoning.max_tokens"]),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": None}, "low", []),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "low"}, "low", []),
        (
            {"reasoning": {"effort": "low"}, "reasoning_effort": "high"},
            "high",
            ["reasoning.effort"],
        ),
        ({"reasoning": {"enabled": True}}, None, ["reasoning.enabled"]),
        ({"reasoning": "high"}, None, ["reasoning"]),
        ({"reasoning": None}, None, []),
        ({"reasoning": {}}, None, []),
        ({"reasoning_effort": "low"}, "low", []),
    ],
)
def test_effort_has_two_names(given: dict[str, Any], effort: str, left_out: list[str]) -> None:
    lost: list[str] = []
    said = normalised({"top_p": 1, **given}, lost)
    assert "reasoning" not in said
    assert (said["top_p"], said.get("reasoning_effort"), lost) == (1, effort, left_out)


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 9, "max_tokens": 7}, 9),
        ({"max_tokens": 7, "max_completion_tokens": None}, 7),
    ],
)
def test_limit_has_two_names(given: dict[str, Any], limit: int) -> None:
    assert normalised(given, []) == {"max_tokens": limit}


def test_stop_may_be_a_list() -> None:
    assert normalised({"stop": "a"}, []) == {"stop": ["a"]}
    assert normalised({"stop": ["a", "b"]}, []) == {"stop": ["a", "b"]}


def test_parameters_that_request_nothing() -> None:
    nothing: dict[str, Any] = {"n": 1, "stop": None, "logit_bias": {}, "store": True}
    assert all(is_default_value(name, value) for name, value in nothing.items())
    something: dict[str, Any] = {"n": 2, "temperature": 0, "parallel_tool_calls": False, "user": ""}
    assert not any(is_default_value(name, value) for name, value in something.items())


WRITERS: dict[str, Writer] = {
    "top_k": into("options", "k"),
    "k": into("options", "k", keep=True),
    "options": beneath("options"),
    "think": into("think"),
}


def written(**parameters: Any) -> tuple[dict[str, Any], list[str]]:
    body: dict[str, Any] = {"model": "m"}
    left_out: list[str] = []
    write_parameters(parameters, WRITERS, body, left_out)
    del body["model"]
    return body, left_out


@pytest.mark.parametrize("reverse", [False, True])
def test_fields_have_a_precedence_in_any_order(reverse: bool) -> None:
    given: dict[str, Any] = {"top_k": 1, "k": 2, "options": {"k": 3, "x": 4}}
    ordered = dict(reversed(given.items())) if reverse else given
    assert written(**ordered) == ({"options": {"k": 1, "x": 4}}, [])


def test_parameters_without_a_writer_are_left_out() -> None:
    assert written(think=True, n=1, seed=3, odd=None) == ({"think": True}, ["seed"])


def test_objects_of_the_call_are_not_modified() -> None:
    options: dict[str, Any] = {"x": 4}
    assert written(options=options, top_k=1) == ({"options": {"k": 1, "x": 4}}, [])
    assert options == {"x": 4}
