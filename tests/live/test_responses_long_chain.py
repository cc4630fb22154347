"""A chain of a hundred responses costs the next one hardly more than none would."""

import json
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import cast

import httpx
import pytest
from sqlalchemy import Engine, event

from tests.live.client import JSON
from tests.live.harness import Process, Server, serving, write_config
from tests.live.responding import respond, responding
from tests.web.streaming_client import App, streaming_client
from web.app import create_app
from web.config import Config
from web.main import open_service

LENGTH = 100
ROUNDS = 60
WITHIN_S = 0.010
MODEL = "up/v:first=0,delay=0,tokens=20"
LINE = "And what does the second violin say about the missing line? "


async def chain(server: Server, length: int, tools: list[JSON]) -> str:
    """The last of so many responses that go on from each other."""
    id = None
    for number in range(length):
        answer = await respond(
            server,
            MODEL,
            input=f"{number}. {LINE}",
            previous_response_id=id,
            instructions="Brief.",
            tools=tools,
        )
        id = answer["id"]
    return str(id)


async def first_token_s(server: Server, previous: str | None, tools: list[JSON]) -> float:
    """Seconds from the request to the first piece of text."""
    async with responding(
        server, MODEL, input=LINE, previous_response_id=previous, tools=tools
    ) as call:
        began = time.perf_counter()
        assert await call.head() == 200
        while b"output_text.delta" not in call.body:
            await call.more()
        took = time.perf_counter() - began
        await call.rest()
    return took


def tools_of(size: int) -> list[JSON]:
    """Functions that take about so many characters to describe."""
    return [
        {"type": "function", "name": f"f{number}", "description": "d" * 900, "parameters": {}}
        for number in range(size // 1000)
    ]


@pytest.mark.alone
@pytest.mark.parametrize("tools_chars", [0, 50_000])
async def test_the_first_token_comes_as_soon(
    tmp_path: Path, upstream: Process, tools_chars: int
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 1\n")
    tools = tools_of(tools_chars)
    with serving(tmp_path, config) as server:
        last = await chain(server, LENGTH, tools)
        alone, behind = [], []
        for _ in range(ROUNDS):
            alone.append(await first_token_s(server, None, tools))
            behind.append(await first_token_s(server, last, tools))
    more_s = median(behind) - median(alone)
    print(  # noqa: T201
        f"behind {LENGTH} responses {more_s * 1e3:.1f} ms later, tools of {tools_chars} characters"
    )
    assert more_s < WITHIN_S


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is said to any database from here on."""
    heard: list[str] = []

    def listen(connection: sqlite3.Connection, record: object) -> None:
        connection.set_trace_callback(heard.append)

    event.listen(Engine, "connect", listen)
    try:
        yield heard
    finally:
        event.remove(Engine, "connect", listen)


@asynccontextmanager
async def house(directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The application in this process, with its real store."""
    config = Config.model_validate(
        {
            "providers": {"sim": {"format": "simulated"}},
            "models": {"sim": {"routes": ["sim/sim:first=0,delay=0,tokens=5"]}},
            "store": {"url": f"sqlite:///{directory}/trouper.db"},
        }
    )
    async with (
        open_service(config) as service,
        streaming_client(cast("App", create_app(service))) as (client, _),
    ):
        yield client


async def asked(client: httpx.AsyncClient, heard: list[str], **changes: object) -> tuple[str, int]:
    """A response's id, and how many statements it took."""
    heard.clear()
    body = {"model": "sim", "input": LINE} | changes
    answer = await client.post("/v1/responses", json=body)
    document: JSON = json.loads(answer.content)
    assert answer.status_code == 200, document
    return str(document["id"]), len(heard)


@pytest.mark.parametrize("by", ["previous_response_id", "conversation"])
async def test_however_long_it_is_as_many_statements_are_said(tmp_path: Path, by: str) -> None:
    counts = []
    with statements() as heard:
        async with house(tmp_path) as client:
            id, _ = await asked(client, heard, conversation="c" if by == "conversation" else None)
            for _ in range(LENGTH):
                past = "c" if by == "conversation" else id
                id, count = await asked(client, heard, **{by: past})
                counts.append(count)
    assert max(counts) < 30
    # A checkpoint may fall into any of them, and is none of theirs.
    assert max(counts[-20:]) <= max(counts[:20])
    assert median(counts[-20:]) == median(counts[:20])
