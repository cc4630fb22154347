"""A simulated model says the same over Gemini's and Ollama's APIs as over Chat Completions."""

from typing import Any

import pytest
import trio
from msgspec.structs import replace

from actors.chunks import Chunk, FinishChunk, TextChunk, ToolCallChunk, UsageChunk
from actors.outcome import Reason
from actors.providers.base import FailureKind, ModelCall
from actors.providers.formats import Format
from actors.providers.gemini import Gemini
from actors.providers.http import HttpProvider, make_client
from actors.providers.ollama import Ollama
from actors.providers.openai_chat import OpenAIChat
from actors.providers.transport import Statistics
from tests.live import parity
from tests.live.harness import Process
from tests.live.parity import CHAT, NAMES, SCHEMA, TOOL, compared

OURS: list[tuple[Format, str]] = [(Gemini(), "/v1beta"), (Ollama(), "")]
"""Each format, and the base path of its calls."""
IDS = ["gemini", "ollama"]
CHAT_COMPLETIONS = (OpenAIChat(), "/v1")

Ending = tuple[FailureKind, int | None, str] | None
Played = tuple[list[Chunk], Ending]

QUESTION: list[dict[str, object]] = [{"role": "user", "content": "Who is on stage?"}]


async def play(upstream: Process, ours: tuple[Format, str], call: ModelCall) -> Played:
    """The chunks of an answer, and how it failed if it did."""
    chunks, failure = await parity.play(upstream, *ours, call)
    if failure is None:
        return chunks, None
    # A simulated model tells no status of errors in its streams but in Gemini's way.
    told = None if failure.kind is FailureKind.IN_STREAM_ERROR else failure.status
    return chunks, (failure.kind, told, failure.message)


def without_what_ollama_cannot_say(chunks: list[Chunk]) -> list[Chunk]:
    """It counts no reasoning, and has no filter."""
    said: list[Chunk] = []
    for chunk in chunks:
        match chunk:
            case UsageChunk(usage):
                said.append(UsageChunk(replace(usage, reasoning_tokens=0)))
            case FinishChunk(Reason.CONTENT_FILTER):
                said.append(FinishChunk(Reason.STOP))
            case _:
                said.append(chunk)
    return said


async def assert_same(upstream: Process, ours: tuple[Format, str], call: ModelCall) -> Played:
    """Both hear the same; returns what ours did."""
    assert ours[0].unsupported(call) == ()
    with trio.fail_after(20):
        heard, failure = await play(upstream, ours, call)
        expected, other = await play(upstream, CHAT_COMPLETIONS, call)
    if isinstance(ours[0], Ollama):
        expected = without_what_ollama_cannot_say(expected)
    assert compared(heard, ids=False) == compared(expected, ids=False)
    assert failure == other
    return heard, failure


MORE_NAMES = [
    *("filter=0", "errorframe=0", "errorframe=3,code=late", "error=429,retry=2", "context"),
    "policy",
]


@pytest.mark.parametrize("ours", OURS, ids=IDS)
@pytest.mark.parametrize("settings", [*NAMES, *MORE_NAMES])
async def test_a_simulated_model_says_the_same(
    upstream: Process, ours: tuple[Format, str], settings: str
) -> None:
    timing = "" if "delay" in settings else "first=0,delay=1ms,"
    model = f"sim-{IDS[OURS.index(ours)]}:{timing}{settings}"
    call = ModelCall(upstream_model=model, messages=CHAT, parameters={"tools": [TOOL]})
    await assert_same(upstream, ours, call)


PARAMETERS: list[dict[str, Any]] = [
    {"max_tokens": 5},
    {"max_completion_tokens": 5},
    {"stop": ["."]},
    {"stop": "."},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}},
    {"tools": [TOOL], "tool_choice": "none"},
    {"tools": [TOOL], "tool_choice": "auto"},
    {"temperature": 0.5, "top_p": 0.9, "seed": 1, "reasoning_effort": "low"},
]


@pytest.mark.parametrize("ours", OURS, ids=IDS)
@pytest.mark.parametrize("parameters", PARAMETERS)
async def test_parameters_mean_the_same(
    upstream: Process, ours: tuple[Format, str], parameters: dict[str, Any]
) -> None:
    call = ModelCall(
        upstream_model="sim:first=0,delay=1ms", messages=QUESTION, parameters=parameters
    )
    await assert_same(upstream, ours, call)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "g"}}])
async def test_gemini_is_told_which_tool(upstream: Process, choice: Any) -> None:
    other = {"type": "function", "function": {"name": "g", "parameters": SCHEMA}}
    call = ModelCall(
        upstream_model="sim:first=0,delay=1ms",
        messages=QUESTION,
        parameters={"tools": [TOOL, other], "tool_choice": choice},
    )
    heard, _ = await assert_same(upstream, OURS[0], call)
    assert isinstance(heard[0], ToolCallChunk)
    assert heard[0].name == ("f" if choice == "required" else "g")


@pytest.mark.parametrize("ours", OURS, ids=IDS)
async def test_a_prefill_is_continued(upstream: Process, ours: tuple[Format, str]) -> None:
    model = "sim:first=0,delay=1ms,tokens=20"
    call = ModelCall(upstream_model=model, messages=QUESTION, parameters={})
    heard, _ = await play(upstream, ours, call)
    said = [chunk.text for chunk in heard if isinstance(chunk, TextChunk)]
    begun: list[dict[str, object]] = [{"role": "assistant", "content": "".join(said[:9])}]
    rest, _ = await assert_same(upstream, ours, replace(call, messages=QUESTION + begun))
    continued = "".join(chunk.text for chunk in rest if isinstance(chunk, TextChunk))
    assert continued == "".join(said[9:])


@pytest.mark.parametrize("ours", OURS, ids=IDS)
async def test_one_connection_serves_answer_after_answer(
    upstream: Process, ours: tuple[Format, str]
) -> None:
    format, path = ours
    url = f"http://127.0.0.1:{upstream.port}{path}"
    call = ModelCall(
        upstream_model="sim:first=0,delay=0,tokens=5", messages=QUESTION, parameters={}
    )
    async with make_client(url) as client:
        provider = HttpProvider("up", url, None, client, format=format)
        for _ in range(5):
            answer = await provider.open(call, connect_s=5)
            while await answer.receive():
                pass
            answer.release()
        assert client.upstream.statistics() == Statistics(connecting=0, open=1, idle=1)
