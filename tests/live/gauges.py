"""What a process takes and does, read from outside."""

import os
import time
from math import ceil
from pathlib import Path

from tests.live.client import chatting
from tests.live.harness import Process


def resident(process: Process) -> int:
    """Bytes of memory that the process has."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def p(fraction: float, values: list[float]) -> float:
    """The percentile by nearest rank."""
    return sorted(values)[ceil(fraction * len(values)) - 1]


async def first_token_s(server: Process, count: int) -> list[float]:
    """How long each of `count` clients, one after the other, waits for its first frame."""
    waited: list[float] = []
    for _ in range(count):
        async with chatting(server, "up/v:first=0,delay=0,tokens=5") as call:
            asked_at = time.monotonic()
            assert await call.head() == 200
            assert await call.frames(1)
            waited.append(time.monotonic() - asked_at)
            await call.all_frames()
    return waited
