"""Measurements of a process: resident memory and time to first token."""

import os
import time
from math import ceil
from pathlib import Path

from tests.support.live.harness import Process
from tests.support.live.http_client import open_chat


def resident_bytes(process: Process) -> int:
    """Return the resident memory of a process in bytes."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def percentile(fraction: float, values: list[float]) -> float:
    """Return a percentile by the nearest-rank method."""
    return sorted(values)[ceil(fraction * len(values)) - 1]


async def first_token_s(server: Process, count: int) -> list[float]:
    """Return the time to the first frame, in seconds, of `count` consecutive requests."""
    waited: list[float] = []
    for _ in range(count):
        async with open_chat(server, "up/v:first=0,delay=0,tokens=5") as call:
            asked_at = time.monotonic()
            assert await call.head() == 200
            assert await call.frames(1)
            waited.append(time.monotonic() - asked_at)
            await call.all_frames()
    return waited
