"""The simulated provider is the same upstream in process and over HTTP."""

import pytest
import trio

from actors.chunks import Chunk, SkippedChunk
from actors.providers.base import ModelCall, Provider
from actors.providers.http import HttpProvider, make_client
from actors.providers.simulated import SimulatedProvider
from tests.actors.providers.playing import facts_of, played
from tests.live.parity import TOOL
from web.simulate import SimulateSettings, serve_simulated

Played = tuple[list[Chunk], tuple[object, ...] | None]

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


async def play(provider: Provider, call: ModelCall) -> Played:
    """The chunks of an answer, and how it failed if it did."""
    chunks, failure = await played(provider, call)
    return chunks, facts_of(failure)


def merged(chunks: list[Chunk]) -> list[Chunk]:
    """What a malformed frame looked like is for the log, and its wording is the decoder's."""
    return [SkippedChunk("") if isinstance(c, SkippedChunk) else c for c in chunks]


@pytest.mark.parametrize("settings", [*ANSWERS, *FAULTS])
async def test_both_say_and_do_the_same(settings: str) -> None:
    voice = f"sim:{settings}" if "delay" in settings else f"sim:first=0,delay=2ms,{settings}"
    messages: list[dict[str, object]] = [{"role": "user", "content": "Who is on stage?"}]
    call = ModelCall(upstream_model=voice, messages=messages, parameters={"tools": [TOOL]})
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_simulated, SimulateSettings())
            url = f"http://127.0.0.1:{port}/v1"
            async with make_client(url) as client:
                over_http = await play(HttpProvider("s", url, None, client), call)
            nursery.cancel_scope.cancel()
        in_process = await play(SimulatedProvider("s"), call)
    assert merged(over_http[0]) == merged(in_process[0])
    assert over_http[1] == in_process[1]
