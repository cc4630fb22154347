"""Appends witness events to a file as JSON lines, with one thread call per batch."""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec
import trio

from web.drill.witness.observations import WitnessEvent

_MAX_WAITING = 100_000
"""Maximum number of events that wait for a slow disk; one more stops the server."""
_DRAIN_S = 2.0

WitnessEvents = trio.MemoryReceiveChannel[WitnessEvent]


def witness_channel() -> tuple[trio.MemorySendChannel[WitnessEvent], WitnessEvents]:
    """Return the channel from a witness (`send_nowait`) to `keep_witness_file`."""
    return trio.open_memory_channel[WitnessEvent](_MAX_WAITING)


async def keep_witness_file(
    path: Path,
    events: WitnessEvents,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Append events until the sender closes, for at most 2 s after a cancellation.

    Raises `OSError` if the file cannot be written.
    """
    unwritten: list[WitnessEvent] = []
    with events, await trio.to_thread.run_sync(_open, path) as file:
        task_status.started()
        try:
            await _append(file, events, unwritten)
        except trio.Cancelled:
            # Shielded: a test that stops the server still needs the events recorded so far.
            with trio.move_on_after(_DRAIN_S, shield=True):
                await _append(file, events, unwritten)
            raise


async def _append(file: BinaryIO, events: WitnessEvents, unwritten: list[WitnessEvent]) -> None:
    while True:
        if unwritten:
            await trio.to_thread.run_sync(_write, file, unwritten)
            unwritten.clear()
        try:
            unwritten.append(await events.receive())
        except trio.EndOfChannel:
            return
        unwritten += _receive_waiting(events)


def _receive_waiting(events: WitnessEvents) -> list[WitnessEvent]:
    found: list[WitnessEvent] = []
    while True:
        try:
            found.append(events.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            return found


def _open(path: Path) -> BinaryIO:
    return path.open("ab")


def _write(file: BinaryIO, batch: Iterable[WitnessEvent]) -> None:
    file.write(b"".join([msgspec.json.encode(one) + b"\n" for one in batch]))
    file.flush()
