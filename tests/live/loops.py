"""The event loops on which a client that is asynchronous may run."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import trio

Main = Callable[[], Awaitable[None]]
Runner = Callable[[Main], None]


def on_asyncio(main: Main) -> None:
    """Run it there."""

    async def run() -> None:
        await main()

    asyncio.run(run())


on_each_loop = pytest.mark.parametrize("run", [on_asyncio, trio.run], ids=["asyncio", "trio"])
"""For tests with an argument `run: Runner`."""
