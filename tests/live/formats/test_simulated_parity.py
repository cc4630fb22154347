"""The simulated provider behaves identically in process and over HTTP."""

import pytest
import trio

from actors.ports import Provider
from actors.providers.http.provider import HttpProvider, make_client
from actors.providers.simulated import SimulatedProvider
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import Chunk, SkippedChunk
from actors.turn.model_call import ModelCall
from tests.support.live.format_parity import TOOL
from tests.support.provider_answers import facts_of, receive_all
from web.drill.witness import SimulateSettings, serve_simulated

CollectedAnswer = tuple[list[Chunk], tuple[object, ...] | None]

FAULTS = [
    *("error=400", "error=401", "error=503", "429", "429=2", "context", "policy", "oops"),
    *("html", "html=502", "html=404", "refuse", "garbage"),
    *("cut=3", "cut=0", "break=3", "reset=3", "end=3", "end=0", "errorframe=3", "noise=3"),
    *("errorframe=0,code=late", "torn=3", "badjson=3", "nodone", "hang", "hang,nousage"),
]
ANSWERS = [
    *("tokens=30", "unicode", "reasoning=3", "refusal", "tool", "tool=2,chunk=3", "filter=3"),
    *("chunk=4", "nousage", "echo", "head=20ms,first=20ms,delay=1ms"),
]


async def collect_answer(provider: Provider, call: ModelCall) -> CollectedAnswer:
    """Return the chunks of an answer, and the facts of its failure if any."""
    chunks, failure = await receive_all(provider, call)
    return chunks, facts_of(failure)


def without_skipped_text(chunks: list[Chunk]) -> list[Chunk]:
    """Blank the text of skipped chunks, which each decoder words differently."""
    return [SkippedChunk("") if isinstance(c, SkippedChunk) else c for c in chunks]


@pytest.mark.parametrize("settings", [*ANSWERS, *FAULTS])
async def test_in_process_and_http_give_the_same_chunks_and_failures(settings: str) -> None:
    voice = f"sim:{settings}" if "delay" in settings else f"sim:first=0,delay=2ms,{settings}"
    messages: list[dict[str, object]] = [{"role": "user", "content": "Who is on stage?"}]
    call = ModelCall(
        upstream_model=voice, messages=read_messages(messages), parameters={"tools": [TOOL]}
    )
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_simulated, SimulateSettings())
            url = f"http://127.0.0.1:{port}/v1"
            async with make_client(url) as client:
                over_http = await collect_answer(HttpProvider("s", url, None, client), call)
            nursery.cancel_scope.cancel()
        in_process = await collect_answer(SimulatedProvider("s"), call)
    assert without_skipped_text(over_http[0]) == without_skipped_text(in_process[0])
    assert over_http[1] == in_process[1]
