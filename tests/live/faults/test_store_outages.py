"""Unwritable database: full disks, another process's lock, and shutdown during a lock."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import trio

from tests.support.live.full_disks import DISKS, Disk
from tests.support.live.harness import Process, Server, serving, until, write_config
from tests.support.live.http_client import (
    JSON,
    Call,
    all_turns,
    fetch,
    live_turns,
    metrics,
    open_chat,
    reports,
    turn,
)
from tests.support.live.sse_frames import Frame, read_frames, text_of
from tests.support.sizes import FULL

STREAMS = 20
LOCKED_S = 20.0 if FULL else 6.0
SETTINGS = "grace_s = 0\ndrain_s = 2\n"
HOLD_THE_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


class StreamReaders:
    """Readers of many streams, some of which end while the store is unavailable."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.calls: dict[str, Call] = {}
        """One call per reader, by model name."""
        self.ended: dict[str, list[Frame]] = {}
        """Frames of the streams that have ended, by model name."""

    async def read(self, model: str) -> None:
        """Read a stream to its end."""
        async with open_chat(self.server, model, user=f"{self.name}-{model}") as call:
            await call.head()
            self.calls[model] = call
            self.ended[model] = await call.all_frames()

    async def wait_all_started(self, count: int) -> None:
        """Wait until `count` streams have received data."""

        async def look() -> bool:
            return len([call for call in self.calls.values() if call.body]) == count

        await until(look)

    async def wait_all_progressed(self) -> None:
        """Wait until every running stream has received another frame or ended."""
        running = {model: call for model, call in self.calls.items() if model not in self.ended}
        before = {
            model: len(read_frames(bytes(c.body), allow_partial=True))
            for model, c in running.items()
        }

        async def look() -> bool:
            return all(
                model in self.ended
                or len(read_frames(bytes(call.body), allow_partial=True)) > before[model]
                for model, call in running.items()
            )

        await until(look)

    async def wait_all_ended(self, count: int) -> None:
        """Wait until `count` streams have ended."""

        async def look() -> bool:
            return len(self.ended) >= count

        await until(look, 30)

    def stored_comments(self) -> Counter[bytes]:
        """Count the comments of the streams about where their records are stored."""
        return Counter(
            line
            for call in self.calls.values()
            for line in bytes(call.body).splitlines()
            if line.startswith(b": stored")
        )

    async def check_stored(self, upstream: Process) -> None:
        """Assert that every ended stream is stored completely, as its reader received it."""
        records = {found["model"]: found for found in await all_turns(self.server)}
        for model, frames in self.ended.items():
            record = records[model]
            (report,) = await reports(upstream, f"{self.name}-{model}")
            assert (record["status"], record["stored"]) == ("completed", "committed")
            assert record["text"] == text_of(frames) == report["text_sent"]
            shown = await turn(self.server, str(record["id"]))
            assert (shown["status"], shown["stored"]) == ("completed", "committed")


async def wait_for_refusal(server: Server) -> Call:
    """Send requests until one is refused: the last page of a file may still have room for one."""

    async def look() -> Call | None:
        async with open_chat(server, "up/late:delay=0,tokens=2") as call:
            status = await call.head()
            await call.read_all()
        return call if status == 503 else None

    refused = await until(look)
    assert refused is not None
    return refused


def check_refused(call: Call) -> None:
    """Assert the error for new turns while none can be recorded."""
    assert b'"code":"store_unavailable"' in call.body
    assert int(call.headers["retry-after"]) >= 1


async def wait_until_settled(server: Server) -> None:
    """Wait until new turns are accepted and no record waits for the database."""

    async def ready() -> bool:
        return (await fetch(server, "/ready"))[0] == 200

    async def nothing_waits() -> bool:
        return (await metrics(server))["trouper_spooled_records"] == 0

    async def none_in_flight() -> bool:
        return await live_turns(server) == 0 and all(
            found["ended_at"] for found in await all_turns(server)
        )

    await until(ready)
    await until(nothing_waits, 30)
    await until(none_in_flight, 30)


@pytest.mark.parametrize("disk", DISKS)
async def test_streams_continue_on_a_full_disk_and_are_stored_later(
    tmp_path: Path, upstream: Process, disk: Callable[[Path], AbstractContextManager[Disk]]
) -> None:
    with disk(tmp_path) as volume, on_disk(volume, tmp_path, upstream) as server:
        readers = StreamReaders(server, tmp_path.name)
        async with trio.open_nursery() as nursery:
            for number in range(STREAMS):
                tokens = 60 if number % 2 else 150
                nursery.start_soon(readers.read, f"up/d{number}:delay=20ms,tokens={tokens}")
            await readers.wait_all_started(STREAMS)
            volume.fill(server)
            check_refused(await wait_for_refusal(server))
            await readers.wait_all_progressed()
            await readers.wait_all_ended(STREAMS)
        lost = readers.stored_comments()
        assert lost.keys() == volume.stored_comments
        assert lost.total() == STREAMS
        volume.free(server)
        await wait_until_settled(server)
        await readers.check_stored(upstream)
        assert len(server.logged("final record not stored")) == lost[b": stored unsaved"]


@contextmanager
def on_disk(disk: Disk, directory: Path, upstream: Process) -> Iterator[Server]:
    """Run a server with all of its files on the disk, except its log."""
    config = write_config(disk.directory, upstream.port, SETTINGS)
    log = directory / "server.log"
    with serving(disk.directory, config, log=log) as server:
        yield server


async def test_streams_continue_while_the_database_is_locked(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, SETTINGS)
    with serving(tmp_path, config) as server:
        readers = StreamReaders(server, "locked")
        async with trio.open_nursery() as nursery:
            for number in range(STREAMS):
                tokens = 40 if number % 2 else 200
                nursery.start_soon(readers.read, f"up/l{number}:delay=20ms,tokens={tokens}")
            await readers.wait_all_started(STREAMS)
            with lock(server.database):
                locked_at = time.monotonic()
                check_refused(await wait_for_refusal(server))
                await readers.wait_all_progressed()
                await readers.wait_all_ended(STREAMS)
                await trio.sleep_until(
                    trio.current_time() + LOCKED_S + locked_at - time.monotonic()
                )
        assert readers.stored_comments() == {b": stored spooled": STREAMS}
        await wait_until_settled(server)
        await readers.check_stored(upstream)
        assert server.logged("final record not stored") == []


@contextmanager
def lock(database: Path) -> Iterator[None]:
    """Hold the database's exclusive lock in another process."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate()


async def test_shutdown_while_the_database_is_locked_loses_nothing(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, SETTINGS)
    with serving(tmp_path, config) as server:
        readers = StreamReaders(server, "stopped")
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(readers.read, f"up/s{number}:delay=20ms,tokens=5000")
            await readers.wait_all_started(5)
            with lock(server.database):
                server.signal(signal.SIGTERM)
                server.signal(signal.SIGTERM)
                assert await server.wait(30) == 0
    with serving(tmp_path, config) as server:
        records = await all_turns(server)
        assert {(found["status"], found["reason"]) for found in records} == {
            ("incomplete", "server_shutdown")
        }
        texts: dict[object, JSON] = {found["model"]: found for found in records}
        for model, frames in readers.ended.items():
            assert texts[model]["text"] == text_of(frames[:-1])
