"""SIGKILL while fifty streams play: what the next start finds, compared with what clients saw."""

import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest
import trio

from tests.live.client import JSON, Call, all_turns, chatting, following, reports, turn
from tests.live.frames import read_frames, text_of
from tests.live.harness import Process, Server, serving, until, write_config

STREAMS = 50
FLUSH_S = 0.25
COMMIT_S = 0.15
"""What a commit may take besides, on a machine that others use too."""
LEAST_KILLS, MOST_KILLS = 6, 12
SETTINGS = "grace_s = 0\ndrain_s = 1\n"


class Client:
    """What one client had of its turn, and when."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.turn_id = ""
        self.body = b""
        self.marks: list[tuple[float, int]] = []
        """When how many bytes of the body were here."""

    async def read(self, server: Server) -> None:
        """Stream until the end or the kill."""
        async with chatting(server, self.model, user=self.model) as call:
            await call.head()
            self.turn_id = call.turn_id
            while await call.more():
                self.marks.append((time.monotonic(), len(call.body)))
            self.body = bytes(call.body)

    @property
    def ended(self) -> bool:
        """Whether it saw the end of its answer."""
        return self.body.endswith(b"data: [DONE]\n\n")

    def text_by(self, moment: float) -> str:
        """What it had by then."""
        size = max((size for at, size in self.marks if at <= moment), default=0)
        return text_of(read_frames(self.body[:size], cut=True))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_what_was_journalled_is_kept(tmp_path: Path, upstream: Process, seed: int) -> None:
    random = Random(seed)
    config = write_config(tmp_path, upstream.port, SETTINGS)
    clients = [
        Client(f"up/k{seed}n{number}:delay=10ms,tokens={random.randint(5, 200)}")
        for number in range(STREAMS)
    ]

    async def all_begun() -> bool:
        return all(client.turn_id for client in clients)

    with serving(tmp_path, config) as server:
        before = await some_ended(server)
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.read, server)
            await until(all_begun)
            await trio.sleep(random.uniform(0.3, 1.3))  # the moment is what the seed is for
            killed_at = time.monotonic()
            server.kill()
    with serving(tmp_path, config) as server:
        records = {found["model"]: found for found in await all_turns(server)}
        for client in clients:
            record = records[client.model]
            await check(server, upstream, client, record, killed_at - FLUSH_S - COMMIT_S)
        for found in before:
            assert await turn(server, str(found["id"])) == found
        assert len(await all_turns(server)) == STREAMS + len(before)
        reasons = {record["reason"] for record in records.values()}
        assert reasons == {"stop", "owner_lost"}, "the moment was not among the streams"


async def some_ended(server: Server) -> list[JSON]:
    """Turns that are over before anything bad happens, as they are told then."""
    found = []
    for tokens in (1, 5, 20):
        async with chatting(server, f"up/before{tokens}:delay=0,tokens={tokens}") as call:
            await call.head()
            await call.all_frames()
        found.append(await turn(server, call.turn_id))
    return found


async def check(
    server: Server, upstream: Process, client: Client, record: JSON, safe_until: float
) -> None:
    """One record: whole if the client saw the end, else all but the last moment's text."""
    (report,) = await reports(upstream, client.model)
    text, sent = str(record["text"]), str(report["text_sent"])
    async with following(server, str(record["id"])) as call:
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


class ShortTurns:
    """Clients that ask for a word again and again, so that some turn always ends."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.saw_end: set[str] = set()
        self.saw_none: set[str] = set()

    async def play(self, server: Server, number: int) -> None:
        """Ask until the server is killed."""
        with suppress(OSError):
            while await self._once(server, number):
                pass

    async def _once(self, server: Server, number: int) -> bool:
        async with chatting(server, f"up/w{number}:first=0,delay=0,tokens=3") as call:
            if not await has_head(call):
                return False
            whole = (await call.rest()).endswith(b"data: [DONE]\n\n")
        (self.saw_end if whole else self.saw_none).add(call.turn_id)
        return whole


async def has_head(call: Call) -> bool:
    """Whether a response came at all."""
    with suppress(Exception):  # h11 and the socket have many words for a dead server
        return await call.head() == 200
    return False


async def kill_at_a_commit(server: Server, clients: ShortTurns) -> None:
    """Kill while many turns end, right after some have been committed."""
    turns = len(clients.saw_end) + clients.random.randint(100, 200)
    async with trio.open_nursery() as nursery:
        for number in range(STREAMS):
            nursery.start_soon(clients.play, server, number)
        await trio.to_thread.run_sync(kill_after_commits, server, turns)


def kill_after_commits(server: Server, turns: int) -> None:
    """Watch the database from outside; kill when this many turns are completed there."""
    with closing(sqlite3.connect(f"file:{server.database}?mode=ro", uri=True)) as database:
        query = "SELECT count(*) FROM turns WHERE status = 'completed'"
        while database.execute(query).fetchone()[0] < turns:
            pass
        server.kill()


async def kill_at_an_end(server: Server, clients: ShortTurns) -> None:
    """Kill the moment that a client sees its end."""
    async with chatting(server, "up/v:first=0,delay=0,tokens=3") as call:
        await call.head()
        while b"data: [DONE]\n\n" not in call.body:
            await call.more()
        server.kill()
    clients.saw_end.add(call.turn_id)


async def test_a_client_that_saw_the_end_finds_it_recorded(
    tmp_path: Path, upstream: Process
) -> None:
    config = write_config(tmp_path, upstream.port, SETTINGS)
    clients = ShortTurns(Random(7))
    kills = unseen = 0
    while kills < LEAST_KILLS or not unseen:
        assert kills < MOST_KILLS, "no kill came between a commit and its end frame"
        kill = kill_at_an_end if kills % 2 else kill_at_a_commit
        with serving(tmp_path, config) as server:
            unseen = await check_all(server, clients)
            await kill(server, clients)
        kills += 1
    with serving(tmp_path, config) as server:
        await check_all(server, clients)


async def check_all(server: Server, clients: ShortTurns) -> int:
    """All is recorded; returns how many turns are completed although no client saw that."""
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
        async with following(server, str(record["id"])) as call:
            frames = await call.all_frames()
        assert frames[-1].data == b"[DONE]"
        assert text_of(frames) == record["text"]
    return len(unseen)
