"""The witness's file: happenings appended as JSON lines by one thread call for each batch."""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec
import trio

from web.simulate.witness import Happening

_WAITING = 100_000
"""Happenings that may wait for a slow disk. One more ends the server: evidence is not dropped."""
_DRAIN_S = 2.0

Happenings = trio.MemoryReceiveChannel[Happening]


def witness_channel() -> tuple[trio.MemorySendChannel[Happening], Happenings]:
    """The way from a witness (`send_nowait`) to `keep_witness_file`."""
    return trio.open_memory_channel[Happening](_WAITING)


async def keep_witness_file(
    path: Path,
    happenings: Happenings,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Append happenings until their sender closes, also through a cancellation (2 s at most).

    Raises `OSError` where the file cannot be written.
    """
    unwritten: list[Happening] = []
    with happenings, await trio.to_thread.run_sync(_open, path) as file:
        task_status.started()
        try:
            await _append(file, happenings, unwritten)
        except trio.Cancelled:
            with trio.move_on_after(_DRAIN_S, shield=True):
                await _append(file, happenings, unwritten)
            raise


async def _append(file: BinaryIO, happenings: Happenings, unwritten: list[Happening]) -> None:
    while True:
        if unwritten:
            await trio.to_thread.run_sync(_write, file, unwritten)
            unwritten.clear()
        try:
            unwritten.append(await happenings.receive())
        except trio.EndOfChannel:
            return
        unwritten += _waiting(happenings)


def _waiting(happenings: Happenings) -> list[Happening]:
    found: list[Happening] = []
    while True:
        try:
            found.append(happenings.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            return found


def _open(path: Path) -> BinaryIO:
    return path.open("ab")


def _write(file: BinaryIO, batch: Iterable[Happening]) -> None:
    file.write(b"".join([msgspec.json.encode(one) + b"\n" for one in batch]))
    file.flush()
