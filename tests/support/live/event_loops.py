"""Parametrization of tests of asynchronous SDKs over event loops: asyncio and trio."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import trio

Main = Callable[[], Awaitable[None]]
Runner = Callable[[Main], None]


def on_asyncio(main: Main) -> None:
    """Run an async function with asyncio."""

    async def run() -> None:
        await main()

    asyncio.run(run())


on_each_loop = pytest.mark.parametrize("run", [on_asyncio, trio.run], ids=["asyncio", "trio"])
"""Decorator for tests with a parameter `run: Runner`."""
