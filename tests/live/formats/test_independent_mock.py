"""Text, tools and usage through every format, against an independently written mock.

The mock answers only requests that it recognises: each fixture lists the message, instructions,
tools and tool results that it must find in the request.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from tests.support.live.call_recorder import (
    BASE_PATHS,
    RecordedCall,
    TurnRecord,
    record_call,
    serving_all_formats,
)
from tests.support.live.harness import Server
from tests.support.live.http_client import JSON
from tests.support.live.independent_mock import LOCK, independent_mock

MODELS = {
    "openai-chat": "gpt-5",
    "openai-responses": "gpt-5",
    "responses-ws": "gpt-5",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-pro",
    "ollama": "llama3.3",
}
RESPONSES = ("openai-responses", "responses-ws")
PROMPT_TOKENS, ANSWER_TOKENS = 21, 34
"""Tokens of every prompt, and of every answer."""
WEATHER: JSON = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
LODZ = ("weather", '{"city":"Łódź"}')
ROME = ("weather", '{"city":"Rome 🏛👩‍👩‍👧","days":[1,2.5,null]}')
SYSTEM: JSON = {"role": "system", "content": "You are a prompter."}
IMAGE: JSON = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def assistant_calls(*calls: tuple[str, str]) -> JSON:
    """Return an assistant message with these tool calls."""
    numbered = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate(calls)
    ]
    return {"role": "assistant", "content": None, "tool_calls": numbered}


def tool_result(number: int, text: str) -> JSON:
    """Return the result of a tool call as a message."""
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": text}


def user(text: str) -> list[JSON]:
    return [{"role": "user", "content": text}]


@dataclass(frozen=True)
class Case:
    """A chat, the mock's match criteria, and its answer."""

    messages: list[JSON]
    match: JSON
    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish: str = "stop"
    parameters: JSON = field(default_factory=dict)
    chunk: int = 7
    """Chunk size in UTF-16 units, so that some chunks end in the middle of a character."""
    not_in: tuple[str, ...] = ()
    """Formats in which the mock does not support the case."""

    @property
    def fixture(self) -> JSON:
        """The case in the mock's fixture format."""
        content: JSON = {"content": self.text, "reasoning": self.reasoning}
        if self.calls:
            content["toolCalls"] = [
                {"id": f"call_{number}", "name": name, "arguments": arguments}
                for number, (name, arguments) in enumerate(self.calls)
            ]
        if self.finish in ("length", "content_filter"):
            content["finishReason"] = self.finish
        answer: JSON = {what: value for what, value in content.items() if value}
        answer["usage"] = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": ANSWER_TOKENS}
        return {"match": self.match, "response": answer, "chunkSize": self.chunk}

    def expected(self, format: str) -> RecordedCall:
        """Return the expected result; in Ollama's format the mock counts no tokens."""
        prompt_tokens, answer_tokens = (
            (0, 0) if format == "ollama" else (PROMPT_TOKENS, ANSWER_TOKENS)
        )
        usage = {"input_tokens": prompt_tokens, "output_tokens": answer_tokens, "estimated": False}
        return RecordedCall(
            200,
            text=self.text,
            reasoning=self.reasoning,
            calls=list(self.calls),
            finish=self.finish,
            usage={
                "prompt_tokens": prompt_tokens,
                "completion_tokens": answer_tokens,
                "total_tokens": prompt_tokens + answer_tokens,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
            done=True,
            record=TurnRecord(
                "completed", self.finish, usage, self.text, None, [("answered", None)]
            ),
        )


CASES = {
    "text": Case(
        user("Say something."),
        {"userMessage": "Say something."},
        text='The curtain rises.\n\n"Silence," says she.\t\\ / \x7f',
    ),
    "unicode": Case(
        user("Powiedz coś: żółć, 幕, 👩‍👩‍👧."),
        {"userMessage": "Powiedz coś: żółć, 幕, 👩‍👩‍👧."},
        text="Żółć, 幕が上がると、静寂。 👩‍👩‍👧‍👦 e\u0301 \u2028 a\u00a0b يرتفع",
    ),
    "a long answer": Case(
        user("Go on for long."),
        {"userMessage": "Go on for long."},
        text="Once more, with feeling. " * 2000,
        chunk=50,
    ),
    "instructions": Case(
        [SYSTEM, *user("Prompt me.")],
        {"userMessage": "Prompt me.", "systemMessage": "You are a prompter."},
        text="To be, or not to be.",
    ),
    "an image": Case(
        [{"role": "user", "content": [{"type": "text", "text": "Who is this?"}, IMAGE]}],
        {"userMessage": "Who is this?"},
        text="Nobody.",
    ),
    "reasoning": Case(
        user("Think first."),
        {"userMessage": "Think first."},
        text="Done.",
        reasoning="First, I think about it; then I answer.",
        not_in=("ollama",),
    ),
    "a tool": Case(
        user("How is the weather?"),
        {"userMessage": "How is the weather?", "toolName": "weather", "hasToolResult": False},
        calls=(LODZ,),
        finish="tool_calls",
        parameters={"tools": [WEATHER]},
    ),
    "its result": Case(
        [*user("How is the weather?"), assistant_calls(LODZ), tool_result(0, "18 degrees, 多云")],
        {"userMessage": "How is the weather?", "toolResultContains": "18 degrees, 多云"},
        text="It is 18 degrees.",
        parameters={"tools": [WEATHER]},
    ),
    "a text and two tools": Case(
        user("And in both cities?"),
        {"userMessage": "And in both cities?", "toolName": "weather", "hasToolResult": False},
        text="Let me look.",
        calls=(LODZ, ROME),
        finish="tool_calls",
        parameters={"tools": [WEATHER], "tool_choice": "auto"},
    ),
    "their results, and on": Case(
        [
            SYSTEM,
            *user("And in both cities?"),
            assistant_calls(LODZ, ROME),
            tool_result(0, "18 degrees"),
            tool_result(1, "25 degrees"),
            {"role": "assistant", "content": "18 and 25 degrees."},
            *user("Which is warmer?"),
        ],
        {"userMessage": "Which is warmer?", "turnIndex": 2, "systemMessage": "a prompter"},
        text="Rome.",
        parameters={"tools": [WEATHER]},
    ),
    "the limit": Case(
        user("Go on and on."),
        {"userMessage": "Go on and on."},
        text="And on and",
        finish="length",
        parameters={"max_tokens": 3},
        not_in=("ollama",),
    ),
    "a filter": Case(
        user("Say what you must not."),
        {"userMessage": "Say what you must not."},
        text="I would",
        finish="content_filter",
        not_in=(*RESPONSES, "ollama"),
    ),
}
CUT = Case(user("Break off."), {"userMessage": "Break off."}, text="This has no end. " * 9, chunk=5)
AFTER_CHUNKS = 12
"""Number of frames or events before truncation, some of which have no text."""
FAILED = Case(user("Fail."), {"userMessage": "Fail."}, text="I have")
REFUSED: JSON = {
    "match": {"userMessage": "Nonsense."},
    "response": {
        "error": {"message": "That is nonsense.", "type": "invalid_request_error"},
        "status": 400,
    },
}
LIMITED: list[JSON] = [
    {
        "match": {"userMessage": f"Too soon, {format}.", "sequenceIndex": 0},
        "response": {"error": {"message": "Too soon.", "type": "rate_limit_error"}, "status": 429},
    }
    for format in MODELS
]
SOON_ENOUGH: JSON = {"match": {"userMessage": "Too soon"}, "response": {"content": "Now."}}
FIXTURES = [
    *(case.fixture for case in CASES.values()),
    {**CUT.fixture, "truncateAfterChunks": AFTER_CHUNKS, "latency": 2},
    replace(FAILED, finish="content_filter").fixture,
    REFUSED,
    *LIMITED,
    SOON_ENOUGH,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the mock and a server whose providers lead to it."""
    directory = tmp_path_factory.mktemp("independent")
    with (
        independent_mock(directory, FIXTURES) as port,
        serving_all_formats(directory, port) as process,
    ):
        yield process


async def run_case(server: Server, format: str, case: Case, *, stream: bool = True) -> RecordedCall:
    """Run one case."""
    parameters = {"messages": case.messages, **case.parameters}
    return await record_call(
        server, f"{format}/{MODELS[format]}", stream=stream, parameters=parameters
    )


@pytest.mark.parametrize("format", BASE_PATHS)
@pytest.mark.parametrize("name", CASES)
async def test_client_receives_the_answer_of_the_mock(
    server: Server, name: str, format: str
) -> None:
    case = CASES[name]
    if format in case.not_in:
        assert await run_case(server, format, case) != case.expected(format), (
            "the mock supports this now: remove it from `not_in`"
        )
        return
    assert await run_case(server, format, case) == case.expected(format)
    assert await run_case(server, format, case, stream=False) == case.expected(format)


@pytest.mark.parametrize("format", BASE_PATHS)
async def test_truncated_answer_is_an_error(server: Server, format: str) -> None:
    result = await run_case(server, format, CUT)
    assert CUT.text.startswith(result.text)
    assert result.text not in ("", CUT.text)
    assert not result.done
    assert result.error is not None
    assert result.error["code"] == "truncated"
    assert result.record is not None
    assert (result.record.status, result.record.reason) == ("failed", "upstream_truncated")
    assert result.record.text == result.text


@pytest.mark.parametrize("format", RESPONSES)
async def test_response_with_status_failed_is_an_error(server: Server, format: str) -> None:
    result = await run_case(server, format, FAILED)
    assert (result.text, result.done) == ("I have", False)
    assert result.record is not None
    assert (result.record.status, result.record.reason) == ("failed", "upstream_error")


@pytest.mark.parametrize("format", BASE_PATHS)
async def test_client_gets_the_error_of_the_mock(server: Server, format: str) -> None:
    result = await record_call(
        server,
        f"{format}/{MODELS[format]}",
        stream=False,
        parameters={"messages": user("Nonsense.")},
    )
    # Over a WebSocket the mock reports no status, so the error counts as one in the stream.
    assert result.status == (502 if format == "responses-ws" else 400)
    assert result.error is not None
    assert result.error["message"] == "That is nonsense."


@pytest.mark.parametrize("format", [format for format in BASE_PATHS if format != "responses-ws"])
async def test_429_is_retried(server: Server, format: str) -> None:
    result = await record_call(
        server,
        f"{format}/{MODELS[format]}",
        stream=True,
        parameters={"messages": user(f"Too soon, {format}.")},
    )
    assert (result.text, result.done) == ("Now.", True)
    assert result.record is not None
    assert result.record.attempts == [("rejected", 429), ("answered", None)]


def test_packages_are_pinned_by_hash_and_not_by_url() -> None:
    packages = json.loads(LOCK.read_text())["packages"]
    installed = [package for path, package in packages.items() if path]
    assert installed
    assert all(package["integrity"].startswith("sha512-") for package in installed)
    assert not any("resolved" in package for package in installed)
