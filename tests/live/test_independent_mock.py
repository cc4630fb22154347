"""Text, tools and usage through every format, from a mock of the wire formats that others wrote.

It answers only to calls that it understands as what was asked: each fixture names the words, the
instructions, the tools and the results that it has to see.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from tests.live.client import JSON
from tests.live.harness import Server
from tests.live.hearing import BASE_PATHS, Heard, Outcome, hear, serving_all_formats
from tests.live.independent_mock import LOCK, independent_mock

MODELS = {
    "openai-chat": "gpt-5",
    "openai-responses": "gpt-5",
    "responses-ws": "gpt-5",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-pro",
    "ollama": "llama3.3",
}
RESPONSES = ("openai-responses", "responses-ws")
GIVEN, MADE = 21, 34
"""Tokens of every prompt and answer."""
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


def called(*calls: tuple[str, str]) -> JSON:
    """An assistant's message that makes these calls."""
    numbered = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": said}}
        for n, (name, said) in enumerate(calls)
    ]
    return {"role": "assistant", "content": None, "tool_calls": numbered}


def result(number: int, text: str) -> JSON:
    """What came of a call."""
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": text}


def user(text: str) -> list[JSON]:
    return [{"role": "user", "content": text}]


@dataclass(frozen=True)
class Case:
    """A chat, what the mock has to see in it, and what it answers."""

    messages: list[JSON]
    match: JSON
    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish: str = "stop"
    parameters: JSON = field(default_factory=dict)
    chunk: int = 7
    """Units of UTF-16 in one chunk, which ends in the middle of a character now and then."""
    not_in: tuple[str, ...] = ()
    """Formats in which the mock has no such thing."""

    @property
    def fixture(self) -> JSON:
        """The case as the mock is told it."""
        said: JSON = {"content": self.text, "reasoning": self.reasoning}
        if self.calls:
            said["toolCalls"] = [
                {"id": f"call_{number}", "name": name, "arguments": arguments}
                for number, (name, arguments) in enumerate(self.calls)
            ]
        if self.finish in ("length", "content_filter"):
            said["finishReason"] = self.finish
        answer: JSON = {what: value for what, value in said.items() if value}
        answer["usage"] = {"prompt_tokens": GIVEN, "completion_tokens": MADE}
        return {"match": self.match, "response": answer, "chunkSize": self.chunk}

    def heard(self, format: str) -> Heard:
        """What a client has to hear; the mock counts no tokens in Ollama's format."""
        given, made = (0, 0) if format == "ollama" else (GIVEN, MADE)
        usage = {"input_tokens": given, "output_tokens": made, "estimated": False}
        return Heard(
            200,
            text=self.text,
            reasoning=self.reasoning,
            calls=list(self.calls),
            finish=self.finish,
            usage={
                "prompt_tokens": given,
                "completion_tokens": made,
                "total_tokens": given + made,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
            done=True,
            outcome=Outcome("completed", self.finish, usage, self.text, None, [("answered", None)]),
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
        [*user("How is the weather?"), called(LODZ), result(0, "18 degrees, 多云")],
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
            called(LODZ, ROME),
            result(0, "18 degrees"),
            result(1, "25 degrees"),
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
        not_in=(*RESPONSES, "anthropic", "ollama"),
    ),
}
CUT = Case(user("Break off."), {"userMessage": "Break off."}, text="This has no end. " * 9, chunk=5)
AFTER_CHUNKS = 12
"""Frames or events, of which some have no text."""
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
    """A server before the mock."""
    directory = tmp_path_factory.mktemp("independent")
    with (
        independent_mock(directory, FIXTURES) as port,
        serving_all_formats(directory, port) as process,
    ):
        yield process


async def ask(server: Server, format: str, case: Case, *, stream: bool = True) -> Heard:
    """Play one case."""
    parameters = {"messages": case.messages, **case.parameters}
    return await hear(server, f"{format}/{MODELS[format]}", stream=stream, parameters=parameters)


@pytest.mark.parametrize("format", BASE_PATHS)
@pytest.mark.parametrize("name", CASES)
async def test_the_client_gets_what_the_mock_says(server: Server, name: str, format: str) -> None:
    case = CASES[name]
    if format in case.not_in:
        assert await ask(server, format, case) != case.heard(format), "the mock has learnt it"
        return
    assert await ask(server, format, case) == case.heard(format)
    assert await ask(server, format, case, stream=False) == case.heard(format)


@pytest.mark.parametrize("format", BASE_PATHS)
async def test_an_answer_that_breaks_off_is_not_whole(server: Server, format: str) -> None:
    heard = await ask(server, format, CUT)
    assert CUT.text.startswith(heard.text)
    assert heard.text not in ("", CUT.text)
    assert not heard.done
    assert heard.error is not None
    assert heard.error["code"] == "truncated"
    assert heard.outcome is not None
    assert (heard.outcome.status, heard.outcome.reason) == ("failed", "upstream_truncated")
    assert heard.outcome.text == heard.text


@pytest.mark.parametrize("format", RESPONSES)
async def test_an_answer_whose_status_is_failed_has_failed(server: Server, format: str) -> None:
    heard = await ask(server, format, FAILED)
    assert (heard.text, heard.done) == ("I have", False)
    assert heard.outcome is not None
    assert (heard.outcome.status, heard.outcome.reason) == ("failed", "upstream_error")


@pytest.mark.parametrize("format", BASE_PATHS)
async def test_the_client_gets_the_mock_s_error(server: Server, format: str) -> None:
    heard = await hear(
        server,
        f"{format}/{MODELS[format]}",
        stream=False,
        parameters={"messages": user("Nonsense.")},
    )
    # Over a WebSocket the mock tells no status, which leaves an error in the stream.
    assert heard.status == (502 if format == "responses-ws" else 400)
    assert heard.error is not None
    assert heard.error["message"] == "That is nonsense."


@pytest.mark.parametrize("format", [format for format in BASE_PATHS if format != "responses-ws"])
async def test_what_is_too_soon_is_asked_again(server: Server, format: str) -> None:
    heard = await hear(
        server,
        f"{format}/{MODELS[format]}",
        stream=True,
        parameters={"messages": user(f"Too soon, {format}.")},
    )
    assert (heard.text, heard.done) == ("Now.", True)
    assert heard.outcome is not None
    assert heard.outcome.attempts == [("rejected", 429), ("answered", None)]


def test_what_is_installed_is_known_by_its_hash_and_not_by_where_it_is() -> None:
    packages = json.loads(LOCK.read_text())["packages"]
    installed = [package for path, package in packages.items() if path]
    assert installed
    assert all(package["integrity"].startswith("sha512-") for package in installed)
    assert not any("resolved" in package for package in installed)
