"""Each surface tells its clients of a provider's failure in the words on which they act."""

import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from trio.testing import MockClock

from actors.turn.model_call import FailureKind, UpstreamFailure
from tests.support.edge_harness import chat_body, open_harness
from tests.support.turn_fakes import Line, ScriptedProvider, text

K = FailureKind
BODIES: dict[str, dict[str, object]] = {
    "/v1/chat/completions": chat_body(),
    "/v1/messages": chat_body(max_tokens=99),
    "/v1/responses": {"model": "large", "input": "Hi"},
}


@dataclass(frozen=True)
class Case:
    """A failure, and the error that OpenAI's and Anthropic's clients get for it."""

    failure: dict[str, Any]
    openai: tuple[int, str]
    """Status and code."""
    anthropic: tuple[int, str]
    """Status and type."""


CASES = {
    "too long": Case(
        {"message": "exceeds the context window", "status": 400, "code": "INVALID_ARGUMENT"},
        (400, "context_length_exceeded"),
        (400, "invalid_request_error"),
    ),
    "overloaded": Case(
        {"message": "Overloaded", "status": 529, "type": "overloaded_error"},
        (503, "overloaded"),
        (529, "overloaded_error"),
    ),
    "unavailable": Case(
        {"message": "Down", "status": 503, "code": "UNAVAILABLE"},
        (503, "unavailable"),
        (503, "overloaded_error"),
    ),
    "limited": Case(
        {"message": "Slow down", "status": 429, "type": "RESOURCE_EXHAUSTED", "retry_after_s": 5.5},
        (429, "rate_limit_exceeded"),
        (429, "rate_limit_error"),
    ),
    "flagged": Case(
        {"message": "Your input was flagged", "status": 403},
        (403, "content_filter"),
        (403, "permission_error"),
    ),
    "wrong": Case(
        {"message": "Wrong", "status": 400, "type": "INVALID_ARGUMENT", "param": "seed"},
        (400, "invalid"),
        (400, "invalid_request_error"),
    ),
    "no such model": Case(
        {"message": "model: m", "status": 404},
        (404, "upstream_not_found"),
        (404, "not_found_error"),
    ),
    "wrong base URL": Case(
        {"message": "Not Found", "status": 404},
        (502, "upstream_not_found"),
        (502, "api_error"),
    ),
}
OWN_CODES = {"overloaded", "unavailable", "invalid"}
"""Stand for the failure's kind, which is the code where clients look for none."""


def failure_of(case: Case, kind: FailureKind | None = None) -> UpstreamFailure:
    status = case.failure["status"]
    kind = kind or (K.REJECTED if status < 500 else K.SERVER_ERROR)
    return UpstreamFailure(kind, **case.failure)


async def answer(
    lines: list[Line], head: Line | None, path: str, *, stream: bool
) -> httpx.Response:
    provider = ScriptedProvider(*lines, head=head) if head else ScriptedProvider(*lines)
    async with open_harness(provider) as harness:
        return await harness.post(path, json=BODIES[path] | {"stream": stream})


def check_error(path: str, error: dict[str, Any], case: Case, *, status: int | None = None) -> None:
    message = error["message"]
    assert case.failure["message"] in message
    if path == "/v1/messages":
        assert (status or case.anthropic[0], error["type"]) == case.anthropic
        assert ("prompt is too long" in message) is (case is CASES["too long"])
        return
    code = case.openai[1]
    assert status in (None, case.openai[0])
    assert code in OWN_CODES or error["code"] == code
    assert error["type"].islower()
    assert "INVALID_ARGUMENT" not in json.dumps(error)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("name", CASES)
async def test_failure_before_content(
    autojump_clock: MockClock, name: str, path: str, stream: bool
) -> None:
    case = CASES[name]
    response = await answer([], failure_of(case), path, stream=stream)
    check_error(path, response.json()["error"], case, status=response.status_code)
    waits = {key: response.headers.get(key) for key in ("retry-after", "retry-after-ms")}
    expected: dict[str, str | None] = {"retry-after": None, "retry-after-ms": None}
    if name == "limited":
        expected = {"retry-after": "6", "retry-after-ms": "5500"}
    elif name == "unavailable":
        expected["retry-after"] = "1"
    assert waits == expected


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("name", ["too long", "overloaded", "unavailable", "limited", "flagged"])
async def test_error_in_the_stream_after_content(
    autojump_clock: MockClock, name: str, path: str
) -> None:
    case = CASES[name]
    lines: list[Line] = [text("Hel"), failure_of(case, K.IN_STREAM_ERROR)]
    response = await answer(lines, None, path, stream=True)
    assert response.status_code == 200
    frames = [
        json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")
    ]
    error = next(frame["error"] for frame in reversed(frames) if "error" in frame)
    if path == "/v1/responses":
        assert (frames[-1]["type"], frames[-2]["type"]) == ("response.failed", "error")
        assert case.failure["message"] in error["message"]
        # The API's list has no code for refused content but this, after which Codex doesn't retry.
        known = {name: name for name in ("context_length_exceeded", "rate_limit_exceeded")}
        known["content_filter"] = "invalid_prompt"
        assert error["code"] == known.get(case.openai[1], "server_error")
    else:
        check_error(path, error, case)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("name", ["overloaded", "flagged"])
async def test_error_in_the_stream_of_a_client_that_does_not_stream(
    autojump_clock: MockClock, name: str, path: str
) -> None:
    case = CASES[name]
    lines: list[Line] = [text("Hel"), failure_of(case, K.IN_STREAM_ERROR)]
    response = await answer(lines, None, path, stream=False)
    check_error(path, response.json()["error"], case, status=response.status_code)
