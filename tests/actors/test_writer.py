"""What a client hears: a heartbeat at once, frames, heartbeats, and where the record went."""

import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.events import AnyEvent, Ended, Started, Text
from actors.journal import Journal
from actors.ports import Stored
from actors.writer import Dialect, Writer
from tests.actors.samples import STARTED, ended

HEARTBEAT = b": ping\n"


class Letters:
    """A dialect that shows texts only, and the end as a full stop."""

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
    """Reads a writer's parts as they come."""

    def __init__(
        self,
        journal: Journal,
        stored: Stored | None = "committed",
        dialect: Dialect | None = None,
    ) -> None:
        self.parts: list[bytes] = []
        self.left = False
        self._writer = Writer(journal.subscribe(), dialect or Letters(), lambda: stored)

    async def run(self) -> None:
        async for part in self._writer:
            self.parts.append(part)
        self.left = True


async def test_a_heartbeat_comes_at_once(nursery: trio.Nursery) -> None:
    journal = Journal()
    client = Client(journal)
    nursery.start_soon(client.run)
    await wait_all_tasks_blocked()
    assert client.parts == [HEARTBEAT]
    nursery.cancel_scope.cancel()


def test_a_heartbeat_is_a_comment_and_no_event() -> None:
    assert HEARTBEAT.startswith(b":")
    assert HEARTBEAT.count(b"\n") == 1
    assert HEARTBEAT.endswith(b"\n")


async def test_what_is_there_already_comes_with_it() -> None:
    client = Client(Journal([STARTED, Text("a"), ended()], closed=True))
    await client.run()
    assert client.parts == [HEARTBEAT + b"a."]


async def test_frames_follow_as_they_come(nursery: trio.Nursery) -> None:
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


class Slow(Letters):
    """Tells the end only when asked three times more."""

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
async def test_what_is_not_told_at_once_comes_part_by_part(
    nursery: trio.Nursery, over: bool
) -> None:
    events: list[AnyEvent] = [STARTED, Text("a"), ended()]
    journal = Journal(list(events), closed=True) if over else Journal()
    client = Client(journal, "spooled", Slow())
    nursery.start_soon(client.run)
    await wait_all_tasks_blocked()
    if not over:
        journal.append(events)
        journal.close()
        await wait_all_tasks_blocked()
    first = [HEARTBEAT + b"a"] if over else [HEARTBEAT, b"a"]
    assert client.parts == [*first, b"2", b": stored spooled\n0"]
    assert client.left


async def test_a_nudge_is_a_heartbeat(nursery: trio.Nursery) -> None:
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
async def test_a_record_elsewhere_is_said_before_the_last_frames(
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


async def test_also_to_one_who_comes_after_the_end() -> None:
    client = Client(Journal([STARTED, Text("a"), ended()], closed=True), "spooled")
    await client.run()
    assert client.parts == [HEARTBEAT + b": stored spooled\n" + b"a."]


@pytest.mark.parametrize("stored", [None, "committed"])
async def test_a_record_in_its_place_is_not_worth_a_word(stored: Stored | None) -> None:
    client = Client(Journal([STARTED, ended()], closed=True), stored)
    await client.run()
    assert client.parts == [HEARTBEAT + b"."]


async def test_twenty_clients_hear_the_same(nursery: trio.Nursery) -> None:
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


async def test_frames_that_are_rendered_already_come_first() -> None:
    journal = Journal([STARTED, Text("a"), Text("b"), ended()], closed=True)
    writer = Writer(journal.subscribe(2), Letters(), frames=b"a")
    assert [part async for part in writer] == [HEARTBEAT + b"ab."]


class Placed(Letters):
    """Notes in which threads it renders."""

    def __init__(self, *, repeats_much: bool) -> None:
        self.repeats_much = repeats_much
        self.threads: list[int] = []

    def render(self, events: list[AnyEvent]) -> bytes:
        self.threads.append(threading.get_ident())
        return super().render(events)


@pytest.mark.parametrize("repeats_much", [False, True])
async def test_a_long_end_is_rendered_in_a_thread(repeats_much: bool) -> None:
    """And nothing else is."""
    journal, dialect = Journal([STARTED, Text("a")]), Placed(repeats_much=repeats_much)
    client = Client(journal, dialect=dialect)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        await wait_all_tasks_blocked()
        journal.append([ended()])
        journal.close()
    assert client.parts == [HEARTBEAT + b"a", b"."]
    here = threading.get_ident()
    assert [thread == here for thread in dialect.threads] == [True, not repeats_much]
