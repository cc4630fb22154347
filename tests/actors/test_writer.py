"""Tests of the writer: heartbeats, frames, and the note on the final record."""

import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.journal.journal import Journal
from actors.turn.events import AnyEvent, Ended, Started, Text
from actors.turn.store_records import Stored
from actors.writer import Dialect, Writer
from tests.support.sample_events import STARTED, ended

HEARTBEAT = b": ping\n"


class TextDialect:
    """A dialect that shows only text, and the end as a full stop."""

    heartbeat = b": ping\n"
    pending = False
    repeats_much = False

    def comment(self, text: str) -> bytes:
        return f": {text}\n".encode()

    def render(self, events: list[AnyEvent]) -> bytes:
        return b"".join(self._frame(event) for event in events)

    def _frame(self, event: AnyEvent) -> bytes:
        match event:
            case Text(delta):
                return delta.encode()
            case Started():
                return b""
            case _:
                return b"."


class Client:
    """A client that collects the parts of a writer."""

    def __init__(
        self,
        journal: Journal,
        stored: Stored | None = "committed",
        dialect: Dialect | None = None,
    ) -> None:
        self.parts: list[bytes] = []
        self.left = False
        self._writer = Writer(journal.subscribe(), dialect or TextDialect(), lambda: stored)

    async def run(self) -> None:
        async for part in self._writer:
            self.parts.append(part)
        self.left = True


async def test_heartbeat_comes_at_once(nursery: trio.Nursery) -> None:
    journal = Journal()
    client = Client(journal)
    nursery.start_soon(client.run)
    await wait_all_tasks_blocked()
    assert client.parts == [HEARTBEAT]
    nursery.cancel_scope.cancel()


def test_heartbeat_is_an_sse_comment() -> None:
    assert HEARTBEAT.startswith(b":")
    assert HEARTBEAT.count(b"\n") == 1
    assert HEARTBEAT.endswith(b"\n")


async def test_existing_events_come_with_the_first_heartbeat() -> None:
    client = Client(Journal([STARTED, Text("a"), ended()], closed=True))
    await client.run()
    assert client.parts == [HEARTBEAT + b"a."]


async def test_frames_follow_as_events_arrive(nursery: trio.Nursery) -> None:
    journal = Journal()
    client = Client(journal)
    nursery.start_soon(client.run)
    batches: list[list[AnyEvent]] = [[STARTED], [Text("a"), Text("b")], [Text("c")]]
    for batch in batches:
        await wait_all_tasks_blocked()
        journal.append(batch)
    await wait_all_tasks_blocked()
    assert client.parts == [HEARTBEAT, b"ab", b"c"]
    journal.append([ended()])
    journal.close()
    await wait_all_tasks_blocked()
    assert client.parts[-1] == b"."
    assert client.left


class PendingDialect(TextDialect):
    """A dialect whose end has three pending frames."""

    def __init__(self) -> None:
        self._left = 3
        self.pending = False

    def render(self, events: list[AnyEvent]) -> bytes:
        if not self.pending:
            self.pending = bool(events) and isinstance(events[-1], Ended)
            return super().render(events).removesuffix(b".")
        self._left -= 1
        self.pending = self._left > 0
        return b"" if self._left == 1 else b"%d" % self._left


@pytest.mark.parametrize("over", [False, True])
async def test_pending_frames_come_part_by_part(nursery: trio.Nursery, over: bool) -> None:
    events: list[AnyEvent] = [STARTED, Text("a"), ended()]
    journal = Journal(list(events), closed=True) if over else Journal()
    client = Client(journal, "spooled", PendingDialect())
    nursery.start_soon(client.run)
    await wait_all_tasks_blocked()
    if not over:
        journal.append(events)
        journal.close()
        await wait_all_tasks_blocked()
    first = [HEARTBEAT + b"a"] if over else [HEARTBEAT, b"a"]
    assert client.parts == [*first, b"2", b": stored spooled\n0"]
    assert client.left


async def test_nudge_sends_a_heartbeat(nursery: trio.Nursery) -> None:
    journal = Journal([STARTED])
    client = Client(journal)
    nursery.start_soon(client.run)
    for _ in range(3):
        await wait_all_tasks_blocked()
        journal.nudge()
    await wait_all_tasks_blocked()
    assert client.parts == [HEARTBEAT] * 4
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("stored", ["spooled", "unsaved"])
async def test_record_outside_the_database_is_noted_before_the_last_frames(
    nursery: trio.Nursery, stored: Stored
) -> None:
    journal = Journal([STARTED])
    client = Client(journal, stored)
    nursery.start_soon(client.run)
    await wait_all_tasks_blocked()
    journal.append([Text("a")])
    await wait_all_tasks_blocked()
    journal.append([ended()])
    journal.close()
    await wait_all_tasks_blocked()
    assert client.parts == [HEARTBEAT, b"a", b": stored %s\n." % stored.encode()]


async def test_late_reader_gets_the_storage_note() -> None:
    client = Client(Journal([STARTED, Text("a"), ended()], closed=True), "spooled")
    await client.run()
    assert client.parts == [HEARTBEAT + b": stored spooled\n" + b"a."]


@pytest.mark.parametrize("stored", [None, "committed"])
async def test_committed_record_needs_no_note(stored: Stored | None) -> None:
    client = Client(Journal([STARTED, ended()], closed=True), stored)
    await client.run()
    assert client.parts == [HEARTBEAT + b"."]


async def test_twenty_clients_receive_the_same(nursery: trio.Nursery) -> None:
    journal = Journal()
    clients = [Client(journal) for _ in range(20)]
    for client in clients:
        nursery.start_soon(client.run)
    await wait_all_tasks_blocked()
    journal.append([STARTED, Text("a")])
    await wait_all_tasks_blocked()
    journal.append([Text("b"), ended()])
    journal.close()
    await wait_all_tasks_blocked()
    assert {b"".join(client.parts) for client in clients} == {HEARTBEAT + b"ab."}


async def test_frames_rendered_before_come_first() -> None:
    journal = Journal([STARTED, Text("a"), Text("b"), ended()], closed=True)
    writer = Writer(journal.subscribe(2), TextDialect(), frames=b"a")
    assert [part async for part in writer] == [HEARTBEAT + b"ab."]


class ThreadRecordingDialect(TextDialect):
    """A dialect that records the threads in which it renders."""

    def __init__(self, *, repeats_much: bool) -> None:
        self.repeats_much = repeats_much
        self.threads: list[int] = []

    def render(self, events: list[AnyEvent]) -> bytes:
        self.threads.append(threading.get_ident())
        return super().render(events)


@pytest.mark.parametrize("repeats_much", [False, True])
async def test_long_end_is_rendered_in_a_thread(repeats_much: bool) -> None:
    """Other frames are rendered in the event loop's thread."""
    journal, dialect = (
        Journal([STARTED, Text("a")]),
        ThreadRecordingDialect(repeats_much=repeats_much),
    )
    client = Client(journal, dialect=dialect)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        await wait_all_tasks_blocked()
        journal.append([ended()])
        journal.close()
    assert client.parts == [HEARTBEAT + b"a", b"."]
    here = threading.get_ident()
    assert [thread == here for thread in dialect.threads] == [True, not repeats_much]
