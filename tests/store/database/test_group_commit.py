"""Tests of the group-commit writer, with work that blocks until a test opens the gate."""

import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest
import trio
from sqlalchemy.engine.interfaces import DBAPICursor
from trio.testing import wait_all_tasks_blocked

from store.database.engine import backend_for, open_engine
from store.database.group_commit import GroupCommitWriter, Priority, Work
from store.database.settings import StoreSettings
from store.database.transactions import Transactions
from store.records.turn_records import StoreUnavailable


class Bench:
    """A writer, and work for it that writes into a table of numbers."""

    def __init__(self, settings: StoreSettings, *, queue_size: int = 100) -> None:
        backend = backend_for(settings)
        self.engine = open_engine(backend)
        self.transactions = Transactions(self.engine, backend, 0.1)
        self.transactions.run(lambda cursor: cursor.execute("CREATE TABLE numbers (n UNIQUE)"))
        self.writer = GroupCommitWriter(self.transactions, queue_size=queue_size, batch_size=50)
        self.gate = threading.Event()
        self.held = threading.Event()
        self.hold = Work("hold", Priority.CREATE, self._hold)
        self.add = Work("add", Priority.APPEND, self._add)
        self.commits_before = self.transactions.commits

    @property
    def commits(self) -> int:
        return self.transactions.commits - self.commits_before

    def numbers(self) -> list[int]:
        with self.engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT n FROM numbers ORDER BY n")
            return [row[0] for row in rows]

    async def hold_writer(self, nursery: trio.Nursery) -> None:
        """Block the writer thread until the gate opens."""
        nursery.start_soon(self.writer.submit, self.hold, None)
        await trio.to_thread.run_sync(self.held.wait)

    async def close(self) -> None:
        self.gate.set()
        await self.writer.aclose(5)
        self.engine.dispose()

    def _hold(self, _cursor: DBAPICursor, items: Sequence[None]) -> Sequence[None]:
        self.held.set()
        self.gate.wait()
        return items

    def _add(self, cursor: DBAPICursor, items: Sequence[int]) -> Sequence[int]:
        cursor.executemany("INSERT INTO numbers VALUES (?)", [(item,) for item in items])
        return [item * 10 for item in items]


@pytest.fixture
async def bench(settings: StoreSettings) -> AsyncIterator[Bench]:
    """Yield a bench whose gate opens at the end of the test."""
    bench = Bench(settings)
    yield bench
    await bench.close()


async def test_queued_requests_are_committed_together(bench: Bench) -> None:
    answers: list[int] = []

    async def add(number: int) -> None:
        answers.append(await bench.writer.submit(bench.add, number))

    async with trio.open_nursery() as nursery:
        await bench.hold_writer(nursery)
        for number in range(40):
            nursery.start_soon(add, number)
        await wait_all_tasks_blocked()
        bench.gate.set()
    assert sorted(answers) == [number * 10 for number in range(40)]
    assert bench.numbers() == list(range(40))
    assert bench.commits == 2


async def test_failed_request_does_not_fail_others_of_its_batch(bench: Bench) -> None:
    await bench.writer.submit(bench.add, 3)
    failed: list[int] = []

    async def add(number: int) -> None:
        try:
            assert await bench.writer.submit(bench.add, number) == number * 10
        except sqlite3.IntegrityError:
            failed.append(number)

    async with trio.open_nursery() as nursery:
        await bench.hold_writer(nursery)
        for number in range(6):
            nursery.start_soon(add, number)
        await wait_all_tasks_blocked()
        bench.gate.set()
    assert failed == [3]
    assert bench.numbers() == list(range(6))


async def test_request_of_cancelled_caller_is_executed(bench: Bench) -> None:
    async with trio.open_nursery() as nursery:
        await bench.hold_writer(nursery)
        with trio.CancelScope() as scope:
            scope.cancel()
            await bench.writer.submit(bench.add, 1)
        assert scope.cancelled_caught
        bench.gate.set()
    assert await bench.writer.submit(bench.add, 2) == 20
    assert bench.numbers() == [1, 2]
    assert bench.writer.waiting == 0


async def test_callers_wait_while_the_queue_is_full(settings: StoreSettings) -> None:
    bench = Bench(settings, queue_size=3)
    done: list[int] = []

    async def add(number: int) -> None:
        done.append(await bench.writer.submit(bench.add, number))

    async with trio.open_nursery() as nursery:
        await bench.hold_writer(nursery)
        for number in range(10):
            nursery.start_soon(add, number)
        await wait_all_tasks_blocked()
        assert bench.writer.waiting == 3
        bench.gate.set()
    assert sorted(done) == [number * 10 for number in range(10)]
    await bench.close()


async def test_caller_cancelled_before_it_is_queued_writes_nothing(
    settings: StoreSettings,
) -> None:
    bench = Bench(settings, queue_size=1)
    async with trio.open_nursery() as nursery:
        await bench.hold_writer(nursery)
        with trio.CancelScope() as scope:
            scope.cancel()
            await bench.writer.submit(bench.add, 1)
        bench.gate.set()
    assert await bench.writer.submit(bench.add, 2) == 20
    assert bench.numbers() == [2]
    await bench.close()


async def test_close_executes_queued_requests(bench: Bench) -> None:
    async with trio.open_nursery() as nursery:
        await bench.hold_writer(nursery)
        for number in range(5):
            nursery.start_soon(bench.writer.submit, bench.add, number)
        await wait_all_tasks_blocked()
        nursery.start_soon(bench.writer.aclose, 5)
        await wait_all_tasks_blocked()
        bench.gate.set()
    assert bench.numbers() == list(range(5))
    with pytest.raises(StoreUnavailable, match="closed"):
        await bench.writer.submit(bench.add, 9)


async def test_close_gives_up_on_a_stuck_thread(bench: Bench) -> None:
    async with trio.open_nursery() as nursery:
        await bench.hold_writer(nursery)
        await bench.writer.aclose(0.01)
        bench.gate.set()


async def test_earlier_priority_runs_first_within_a_transaction(bench: Bench) -> None:
    order: list[str] = []

    def noting(name: str, priority: Priority) -> Work[None, None]:
        def run(_cursor: DBAPICursor, items: Sequence[None]) -> Sequence[None]:
            order.append(name)
            return items

        return Work(name, priority, run)

    begin, end = noting("begin", Priority.CREATE), noting("end", Priority.FINISH)
    async with trio.open_nursery() as nursery:
        await bench.hold_writer(nursery)
        nursery.start_soon(bench.writer.submit, end, None)
        await wait_all_tasks_blocked()
        nursery.start_soon(bench.writer.submit, begin, None)
        await wait_all_tasks_blocked()
        bench.gate.set()
    assert order == ["begin", "end"]


async def test_requests_of_one_kind_run_together(bench: Bench) -> None:
    runs: list[tuple[str, int]] = []

    def noting(name: str) -> Work[int, int]:
        def run(_cursor: DBAPICursor, items: Sequence[int]) -> Sequence[int]:
            runs.append((name, len(items)))
            return items

        return Work(name, Priority.APPEND, run)

    one, two = noting("one"), noting("two")
    async with trio.open_nursery() as nursery:
        await bench.hold_writer(nursery)
        for number in range(6):
            nursery.start_soon(bench.writer.submit, (one, two)[number % 2], number)
        await wait_all_tasks_blocked()
        bench.gate.set()
    assert runs == [("one", 3), ("two", 3)]


async def test_lost_connection_is_replaced(bench: Bench) -> None:
    def close(cursor: DBAPICursor, items: Sequence[None]) -> Sequence[None]:
        cast("sqlite3.Cursor", cursor).connection.close()
        return items

    with pytest.raises(StoreUnavailable, match="connection to the database is lost"):
        await bench.writer.submit(Work("close", Priority.CREATE, close), None)
    assert await bench.writer.submit(bench.add, 1) == 10
    assert bench.numbers() == [1]
