"""A simulated model gives the same answers over Gemini's and Ollama's APIs as over chat."""

from typing import Any

import pytest
import trio
from msgspec.structs import replace

from actors.providers.formats.base import Format
from actors.providers.formats.gemini.decoder import GEMINI
from actors.providers.formats.ollama.decoder import OLLAMA
from actors.providers.formats.openai_chat.decoder import OPENAI_CHAT
from actors.providers.http.provider import HttpProvider, make_client
from actors.providers.http.transport import Statistics
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import Chunk, FinishChunk, TextChunk, ToolCallChunk, UsageChunk
from actors.turn.model_call import FailureKind, ModelCall
from actors.turn.outcome import Reason
from tests.support.live import format_parity as parity
from tests.support.live.format_parity import CHAT, PORTABLE_SETTINGS, SCHEMA, TOOL, normalised
from tests.support.live.harness import Process

TARGETS: list[tuple[Format, str]] = [(GEMINI, "/v1beta"), (OLLAMA, "")]
"""Each format with the base path of its calls."""
IDS = ["gemini", "ollama"]
CHAT_COMPLETIONS = (OPENAI_CHAT, "/v1")

Ending = tuple[FailureKind, int | None, str] | None
CollectedAnswer = tuple[list[Chunk], Ending]

QUESTION: list[dict[str, object]] = [{"role": "user", "content": "Who is on stage?"}]


async def collect_answer(
    upstream: Process, target: tuple[Format, str], call: ModelCall
) -> CollectedAnswer:
    """Return the chunks of an answer, and its failure if any."""
    chunks, failure = await parity.collect_chunks(upstream, *target, call)
    if failure is None:
        return chunks, None
    # Of the simulated streams, only Gemini's report a status with an in-stream error.
    status = None if failure.kind is FailureKind.IN_STREAM_ERROR else failure.status
    return chunks, (failure.kind, status, failure.message)


def without_ollama_gaps(chunks: list[Chunk]) -> list[Chunk]:
    """Drop reasoning tokens and content filtering, which Ollama's API does not have."""
    converted: list[Chunk] = []
    for chunk in chunks:
        match chunk:
            case UsageChunk(usage):
                converted.append(UsageChunk(replace(usage, reasoning_tokens=0)))
            case FinishChunk(Reason.CONTENT_FILTER):
                converted.append(FinishChunk(Reason.STOP))
            case _:
                converted.append(chunk)
    return converted


async def assert_same(
    upstream: Process, target: tuple[Format, str], call: ModelCall
) -> CollectedAnswer:
    """Assert that the format and chat give the same result; return it."""
    assert target[0].unsupported(call) == ()
    with trio.fail_after(20):
        received, failure = await collect_answer(upstream, target, call)
        expected, other = await collect_answer(upstream, CHAT_COMPLETIONS, call)
    if target[0] is OLLAMA:
        expected = without_ollama_gaps(expected)
    assert normalised(received, ids=False) == normalised(expected, ids=False)
    assert failure == other
    return received, failure


MORE_SETTINGS = [
    *("filter=0", "errorframe=0", "errorframe=3,code=late", "error=429,retry=2", "context"),
    "policy",
]


@pytest.mark.parametrize("target", TARGETS, ids=IDS)
@pytest.mark.parametrize("settings", [*PORTABLE_SETTINGS, *MORE_SETTINGS])
async def test_format_gives_the_same_answer_as_chat(
    upstream: Process, target: tuple[Format, str], settings: str
) -> None:
    timing = "" if "delay" in settings else "first=0,delay=1ms,"
    model = f"sim-{IDS[TARGETS.index(target)]}:{timing}{settings}"
    call = ModelCall(
        upstream_model=model, messages=read_messages(CHAT), parameters={"tools": [TOOL]}
    )
    await assert_same(upstream, target, call)


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


@pytest.mark.parametrize("target", TARGETS, ids=IDS)
@pytest.mark.parametrize("parameters", PARAMETERS)
async def test_parameters_have_the_same_effect_as_in_chat(
    upstream: Process, target: tuple[Format, str], parameters: dict[str, Any]
) -> None:
    call = ModelCall(
        upstream_model="sim:first=0,delay=1ms",
        messages=read_messages(QUESTION),
        parameters=parameters,
    )
    await assert_same(upstream, target, call)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "g"}}])
async def test_gemini_receives_the_tool_choice(upstream: Process, choice: Any) -> None:
    other = {"type": "function", "function": {"name": "g", "parameters": SCHEMA}}
    call = ModelCall(
        upstream_model="sim:first=0,delay=1ms",
        messages=read_messages(QUESTION),
        parameters={"tools": [TOOL, other], "tool_choice": choice},
    )
    received, _ = await assert_same(upstream, TARGETS[0], call)
    assert isinstance(received[0], ToolCallChunk)
    assert received[0].name == ("f" if choice == "required" else "g")


@pytest.mark.parametrize("target", TARGETS, ids=IDS)
async def test_prefill_is_continued(upstream: Process, target: tuple[Format, str]) -> None:
    model = "sim:first=0,delay=1ms,tokens=20"
    call = ModelCall(upstream_model=model, messages=read_messages(QUESTION), parameters={})
    received, _ = await collect_answer(upstream, target, call)
    pieces = [chunk.text for chunk in received if isinstance(chunk, TextChunk)]
    begun: list[dict[str, object]] = [{"role": "assistant", "content": "".join(pieces[:9])}]
    continuing = replace(call, messages=read_messages(QUESTION + begun))
    rest, _ = await assert_same(upstream, target, continuing)
    continued = "".join(chunk.text for chunk in rest if isinstance(chunk, TextChunk))
    assert continued == "".join(pieces[9:])


@pytest.mark.parametrize("target", TARGETS, ids=IDS)
async def test_connection_is_reused(upstream: Process, target: tuple[Format, str]) -> None:
    format, path = target
    url = f"http://127.0.0.1:{upstream.port}{path}"
    call = ModelCall(
        upstream_model="sim:first=0,delay=0,tokens=5",
        messages=read_messages(QUESTION),
        parameters={},
    )
    async with make_client(url) as client:
        provider = HttpProvider("up", url, None, client, format=format)
        for _ in range(5):
            answer = await provider.open(call, connect_s=5)
            while await answer.receive():
                pass
            answer.release()
        assert client.upstream.statistics() == Statistics(connecting=0, open=1, idle=1)
