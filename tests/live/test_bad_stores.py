"""Days on which the database takes nothing: full disks, another process's lock, one's own end."""

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

from tests.live.client import (
    JSON,
    Call,
    all_turns,
    chatting,
    fetch,
    live_turns,
    metrics,
    reports,
    turn,
)
from tests.live.disks import DISKS, Disk
from tests.live.frames import Frame, read_frames, text_of
from tests.live.harness import FULL, Process, Server, serving, until, write_config

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


class Audience:
    """Readers of many streams, some of which end while the store is away."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.calls: dict[str, Call] = {}
        """By model name, each of another reader."""
        self.ended: dict[str, list[Frame]] = {}

    async def read(self, model: str) -> None:
        """Stream to the end."""
        async with chatting(self.server, model, user=f"{self.name}-{model}") as call:
            await call.head()
            self.calls[model] = call
            self.ended[model] = await call.all_frames()

    async def all_begun(self, count: int) -> None:
        """Wait until so many have something."""

        async def look() -> bool:
            return len([call for call in self.calls.values() if call.body]) == count

        await until(look)

    async def all_go_on(self) -> None:
        """Wait until every stream that plays has said something more."""
        playing = {model: call for model, call in self.calls.items() if model not in self.ended}
        before = {model: len(read_frames(bytes(c.body), cut=True)) for model, c in playing.items()}

        async def look() -> bool:
            return all(
                model in self.ended or len(read_frames(bytes(call.body), cut=True)) > before[model]
                for model, call in playing.items()
            )

        await until(look)

    async def all_ended(self, count: int) -> None:
        """Wait until so many have ended."""

        async def look() -> bool:
            return len(self.ended) >= count

        await until(look, 30)

    def notes(self) -> Counter[bytes]:
        """What the streams said of where their records are."""
        return Counter(
            line
            for call in self.calls.values()
            for line in bytes(call.body).splitlines()
            if line.startswith(b": stored")
        )

    async def check_stored(self, upstream: Process) -> None:
        """All that has ended is in the store, whole, as its reader saw it."""
        records = {found["model"]: found for found in await all_turns(self.server)}
        for model, frames in self.ended.items():
            record = records[model]
            (report,) = await reports(upstream, f"{self.name}-{model}")
            assert (record["status"], record["stored"]) == ("completed", "committed")
            assert record["text"] == text_of(frames) == report["text_sent"]
            shown = await turn(self.server, str(record["id"]))
            assert (shown["status"], shown["stored"]) == ("completed", "committed")


async def refuses(server: Server) -> Call:
    """Ask until a new turn is refused: the last page of a file may still take one."""

    async def look() -> Call | None:
        async with chatting(server, "up/late:delay=0,tokens=2") as call:
            status = await call.head()
            await call.rest()
        return call if status == 503 else None

    refused = await until(look)
    assert refused is not None
    return refused


def check_refused(call: Call) -> None:
    """What a client is told while no turn can be recorded."""
    assert b'"code":"store_unavailable"' in call.body
    assert int(call.headers["retry-after"]) >= 1


async def all_settled(server: Server) -> None:
    """Wait until new turns are taken and nothing waits for the database."""

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
async def test_a_full_disk(
    tmp_path: Path, upstream: Process, disk: Callable[[Path], AbstractContextManager[Disk]]
) -> None:
    with disk(tmp_path) as place, on_disk(place, tmp_path, upstream) as server:
        audience = Audience(server, tmp_path.name)
        async with trio.open_nursery() as nursery:
            for number in range(STREAMS):
                tokens = 60 if number % 2 else 150
                nursery.start_soon(audience.read, f"up/d{number}:delay=20ms,tokens={tokens}")
            await audience.all_begun(STREAMS)
            place.fill(server)
            check_refused(await refuses(server))
            await audience.all_go_on()
            await audience.all_ended(STREAMS)
        lost = audience.notes()
        assert lost.keys() == place.keeps
        assert lost.total() == STREAMS
        place.free(server)
        await all_settled(server)
        await audience.check_stored(upstream)
        assert len(server.logged("unsaved")) == lost[b": stored unsaved"]


@contextmanager
def on_disk(disk: Disk, directory: Path, upstream: Process) -> Iterator[Server]:
    """A server whose files lie there, but for its log."""
    config = write_config(disk.directory, upstream.port, SETTINGS)
    log = directory / "server.log"
    with serving(disk.directory, config, log=log) as server:
        yield server


async def test_another_process_locks_the_database(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port, SETTINGS)
    with serving(tmp_path, config) as server:
        audience = Audience(server, "locked")
        async with trio.open_nursery() as nursery:
            for number in range(STREAMS):
                tokens = 40 if number % 2 else 200
                nursery.start_soon(audience.read, f"up/l{number}:delay=20ms,tokens={tokens}")
            await audience.all_begun(STREAMS)
            with lock(server.database):
                locked_at = time.monotonic()
                check_refused(await refuses(server))
                await audience.all_go_on()
                await audience.all_ended(STREAMS)
                await trio.sleep_until(
                    trio.current_time() + LOCKED_S + locked_at - time.monotonic()
                )
        assert audience.notes() == {b": stored spooled": STREAMS}
        await all_settled(server)
        await audience.check_stored(upstream)
        assert server.logged("unsaved") == []


@contextmanager
def lock(database: Path) -> Iterator[None]:
    """Another process holds the database's exclusive lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate()


async def test_stopping_while_it_is_locked_loses_nothing(tmp_path: Path, upstream: Process) -> None:
    config = write_config(tmp_path, upstream.port, SETTINGS)
    with serving(tmp_path, config) as server:
        audience = Audience(server, "stopped")
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(audience.read, f"up/s{number}:delay=20ms,tokens=5000")
            await audience.all_begun(5)
            with lock(server.database):
                server.signal(signal.SIGTERM)
                server.signal(signal.SIGTERM)
                assert await server.ended(30) == 0
    with serving(tmp_path, config) as server:
        records = await all_turns(server)
        assert {(found["status"], found["reason"]) for found in records} == {
            ("incomplete", "server_shutdown")
        }
        texts: dict[object, JSON] = {found["model"]: found for found in records}
        for model, frames in audience.ended.items():
            assert texts[model]["text"] == text_of(frames[:-1])
