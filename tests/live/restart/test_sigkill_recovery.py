"""SIGKILL during fifty streams: the records after a restart match what the clients received."""

import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest
import trio

from tests.support.live.harness import Process, Server, serving, until, write_config
from tests.support.live.http_client import (
    JSON,
    Call,
    all_turns,
    open_chat,
    open_turn_events,
    reports,
    turn,
)
from tests.support.live.sse_frames import read_frames, text_of
from tests.support.sizes import FULL

STREAMS = 50
FLUSH_S = 0.25
COMMIT_S = 0.15
"""Allowed duration of a commit on a loaded machine, in seconds."""
MIN_KILLS, MAX_KILLS = (6 if FULL else 4), 12
SETTINGS = "grace_s = 0\ndrain_s = 1\n"


class Client:
    """A client that records when it received each part of its stream."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.turn_id = ""
        self.body = b""
        self.marks: list[tuple[float, int]] = []
        """Time and total body size at each read."""

    async def read(self, server: Server) -> None:
        """Read the stream until its end or the kill."""
        async with open_chat(server, self.model, user=self.model) as call:
            await call.head()
            self.turn_id = call.turn_id
            while await call.read_more():
                self.marks.append((time.monotonic(), len(call.body)))
            self.body = bytes(call.body)

    @property
    def ended(self) -> bool:
        """True if the client received the end of its answer."""
        return self.body.endswith(b"data: [DONE]\n\n")

    def text_by(self, moment: float) -> str:
        """Return the text received by that time."""
        size = max((size for at, size in self.marks if at <= moment), default=0)
        return text_of(read_frames(self.body[:size], allow_partial=True))


@pytest.mark.parametrize("seed", [1, 2, 3] if FULL else [1])
async def test_flushed_text_survives_a_kill(tmp_path: Path, upstream: Process, seed: int) -> None:
    random = Random(seed)
    config = write_config(tmp_path, upstream.port, SETTINGS)
    clients = [
        Client(f"up/k{seed}n{number}:delay=10ms,tokens={random.randint(5, 200)}")
        for number in range(STREAMS)
    ]

    async def all_begun() -> bool:
        return all(client.turn_id for client in clients)

    with serving(tmp_path, config) as server:
        before = await complete_some_turns(server)
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.read, server)
            await until(all_begun)
            await trio.sleep(random.uniform(0.3, 1.3))  # the seed varies the time of the kill
            killed_at = time.monotonic()
            server.kill()
    with serving(tmp_path, config) as server:
        records = {found["model"]: found for found in await all_turns(server)}
        for client in clients:
            record = records[client.model]
            await check_record(server, upstream, client, record, killed_at - FLUSH_S - COMMIT_S)
        for found in before:
            assert await turn(server, str(found["id"])) == found
        assert len(await all_turns(server)) == STREAMS + len(before)
        reasons = {record["reason"] for record in records.values()}
        assert reasons == {"stop", "owner_lost"}, (
            "the kill did not hit between the ends of the streams"
        )


async def complete_some_turns(server: Server) -> list[JSON]:
    """Complete some turns before the kill and return them as the API shows them."""
    found = []
    for tokens in (1, 5, 20):
        async with open_chat(server, f"up/before{tokens}:delay=0,tokens={tokens}") as call:
            await call.head()
            await call.all_frames()
        found.append(await turn(server, call.turn_id))
    return found


async def check_record(
    server: Server, upstream: Process, client: Client, record: JSON, safe_until: float
) -> None:
    """Assert a complete record if the client saw the end, else all text up to `safe_until`."""
    (report,) = await reports(upstream, client.model)
    text, sent = str(record["text"]), str(report["text_sent"])
    async with open_turn_events(server, str(record["id"])) as call:
        assert text_of(await call.all_frames()) == text
    assert record["id"] == client.turn_id
    assert sent.startswith(text)
    if client.ended:
        assert record["status"] == "completed"
    if record["status"] == "completed":
        assert text == sent
    else:
        assert (record["status"], record["reason"]) == ("failed", "owner_lost")
        assert text.startswith(client.text_by(safe_until))


class ShortTurnClients:
    """Clients that keep requesting short answers, so that turns end all the time."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.saw_end: set[str] = set()
        self.saw_none: set[str] = set()

    async def run(self, server: Server, number: int) -> None:
        """Send requests until the server is killed."""
        with suppress(OSError):
            while await self._once(server, number):
                pass

    async def _once(self, server: Server, number: int) -> bool:
        async with open_chat(server, f"up/w{number}:first=0,delay=0,tokens=3") as call:
            if not await got_response(call):
                return False
            whole = (await call.read_all()).endswith(b"data: [DONE]\n\n")
        (self.saw_end if whole else self.saw_none).add(call.turn_id)
        return whole


async def got_response(call: Call) -> bool:
    """Return True if a 200 response arrived."""
    with suppress(Exception):  # h11 and the socket raise many different errors for a dead server
        return await call.head() == 200
    return False


async def kill_at_commit(server: Server, clients: ShortTurnClients) -> None:
    """Kill while many turns end, right after some of them have been committed."""
    turns = len(clients.saw_end) + clients.random.randint(100, 200)
    async with trio.open_nursery() as nursery:
        for number in range(STREAMS):
            nursery.start_soon(clients.run, server, number)
        await trio.to_thread.run_sync(kill_after_commits, server, turns)


def kill_after_commits(server: Server, turns: int) -> None:
    """Poll the database from this process; kill once it has this many completed turns."""
    with closing(sqlite3.connect(f"file:{server.database}?mode=ro", uri=True)) as database:
        query = "SELECT count(*) FROM turns WHERE status = 'completed'"
        while database.execute(query).fetchone()[0] < turns:
            pass
        server.kill()


async def kill_at_stream_end(server: Server, clients: ShortTurnClients) -> None:
    """Kill at the moment that a client receives the end of its stream."""
    async with open_chat(server, "up/v:first=0,delay=0,tokens=3") as call:
        await call.head()
        while b"data: [DONE]\n\n" not in call.body:
            await call.read_more()
        server.kill()
    clients.saw_end.add(call.turn_id)


async def test_turn_whose_end_was_received_is_recorded_as_completed(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, SETTINGS)
    clients = ShortTurnClients(Random(7))
    kills = unseen = 0
    while kills < MIN_KILLS or not unseen:
        assert kills < MAX_KILLS, "no kill came between a commit and its end frame"
        kill = kill_at_stream_end if kills % 2 else kill_at_commit
        with serving(tmp_path, config) as server:
            unseen = await check_all(server, clients)
            await kill(server, clients)
        kills += 1
    with serving(tmp_path, config) as server:
        await check_all(server, clients)


async def check_all(server: Server, clients: ShortTurnClients) -> int:
    """Check all records; return the number of completed turns whose end no client received."""
    records = {found["id"]: found for found in await all_turns(server)}
    ends = Counter((record["status"], record["reason"]) for record in records.values())
    assert ends.keys() <= {("completed", "stop"), ("failed", "owner_lost")}
    for turn_id in clients.saw_end:
        assert records[turn_id]["status"] == "completed"
    assert clients.saw_none <= records.keys()
    unseen = [
        record
        for record in records.values()
        if record["status"] == "completed" and record["id"] not in clients.saw_end
    ]
    for record in unseen:
        async with open_turn_events(server, str(record["id"])) as call:
            frames = await call.all_frames()
        assert frames[-1].data == b"[DONE]"
        assert text_of(frames) == record["text"]
    return len(unseen)
