"""A long chain of responses neither delays the next one nor costs more SQL statements."""

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

from tests.support.asgi_client import App, streaming_client
from tests.support.live.harness import Process, Server, serving, write_config
from tests.support.live.http_client import JSON
from tests.support.live.responses_client import create_response, open_response
from web.app import create_app
from web.config import Config
from web.main import open_service

LENGTH = 100
ROUNDS = 60
MAX_DELAY_S = 0.010
MODEL = "up/v:first=0,delay=0,tokens=20"
LINE = "And what does the second violin say about the missing line? "


async def chain(server: Server, length: int, tools: list[JSON]) -> str:
    """Create a chain of `length` responses and return the id of the last."""
    id = None
    for number in range(length):
        answer = await create_response(
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
    """Return the seconds from the request to the first text delta."""
    async with open_response(
        server, MODEL, input=LINE, previous_response_id=previous, tools=tools
    ) as call:
        began = time.perf_counter()
        assert await call.head() == 200
        while b"output_text.delta" not in call.body:
            await call.read_more()
        took = time.perf_counter() - began
        await call.read_all()
    return took


def tools_of(size: int) -> list[JSON]:
    """Return function tools whose definitions have about `size` characters."""
    return [
        {"type": "function", "name": f"f{number}", "description": "d" * 900, "parameters": {}}
        for number in range(size // 1000)
    ]


@pytest.mark.alone
@pytest.mark.parametrize("tools_chars", [0, 50_000])
async def test_long_chain_does_not_delay_the_first_token(
    tmp_path: Path, upstream: Process, tools_chars: int
) -> None:
    config = write_config(tmp_path, upstream.port, "grace_s = 0\ndrain_s = 1\n")
    tools = tools_of(tools_chars)
    with serving(tmp_path, config) as server:
        last = await chain(server, LENGTH, tools)
        alone, chained = [], []
        for _ in range(ROUNDS):
            alone.append(await first_token_s(server, None, tools))
            chained.append(await first_token_s(server, last, tools))
    extra_s = median(chained) - median(alone)
    print(  # noqa: T201
        f"behind {LENGTH} responses {extra_s * 1e3:.1f} ms later, tools of {tools_chars} characters"
    )
    assert extra_s < MAX_DELAY_S


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the SQL statements sent on database connections opened from now on."""
    executed: list[str] = []

    def listen(connection: sqlite3.Connection, record: object) -> None:
        connection.set_trace_callback(executed.append)

    event.listen(Engine, "connect", listen)
    try:
        yield executed
    finally:
        event.remove(Engine, "connect", listen)


@asynccontextmanager
async def running_app(directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Run the application in this process, with a real store."""
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


async def create_counted(
    client: httpx.AsyncClient, executed: list[str], **changes: object
) -> tuple[str, int]:
    """Create a response; return its id and the number of SQL statements that it took."""
    executed.clear()
    body = {"model": "sim", "input": LINE} | changes
    answer = await client.post("/v1/responses", json=body)
    document: JSON = json.loads(answer.content)
    assert answer.status_code == 200, document
    return str(document["id"]), len(executed)


@pytest.mark.parametrize("by", ["previous_response_id", "conversation"])
async def test_number_of_statements_does_not_grow_with_the_chain(tmp_path: Path, by: str) -> None:
    counts = []
    with statements() as executed:
        async with running_app(tmp_path) as client:
            id, _ = await create_counted(
                client, executed, conversation="c" if by == "conversation" else None
            )
            for _ in range(LENGTH):
                past = "c" if by == "conversation" else id
                id, count = await create_counted(client, executed, **{by: past})
                counts.append(count)
    assert max(counts) < 30
    # Statements of a background checkpoint may be counted in any round, hence the median.
    assert max(counts[-20:]) <= max(counts[:20])
    assert median(counts[-20:]) == median(counts[:20])
