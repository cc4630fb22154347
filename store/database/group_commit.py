"""Group-commit writer: one thread that commits all queued requests in one transaction.

The design is Datasette's write thread (`datasette/database.py`, `WriteTask`) plus group commit.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum, auto
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar, cast

import trio
from outcome import Error, Outcome, Value
from sqlalchemy.engine.interfaces import DBAPICursor

from store.database.transactions import Transactions
from store.records.turn_records import StoreUnavailable

I = TypeVar("I")  # noqa: E741 (item)
R = TypeVar("R")

_CLOSED = "the store is closed"


class Priority(IntEnum):
    """Order of writes within one transaction, so that for example a turn begins before it ends."""

    CREATE = auto()
    APPEND = auto()
    FINISH = auto()
    DELETE = auto()
    MAINTAIN = auto()


@dataclass(frozen=True)
class Work(Generic[I, R]):
    """A kind of write request. `run` executes many items and returns a result for each, in order.

    Within one transaction the requests run by priority, and by name if that is the same, so that
    all requests of one kind run together.
    """

    name: str
    priority: Priority
    run: Callable[[DBAPICursor, Sequence[I]], Sequence[R]]


class _Request:
    """One item of work, and the task that waits for its result; None once it is cancelled."""

    __slots__ = ("item", "task", "work")

    def __init__(self, work: Work[object, object], item: object) -> None:
        self.work = work
        self.item = item
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()

    def forget_task(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


_Answers = list[tuple[_Request, Outcome[object]]]


class GroupCommitWriter:
    """A queue for requests from one trio thread, and the thread that executes them."""

    def __init__(self, transactions: Transactions, *, queue_size: int, batch_size: int) -> None:
        self._transactions = transactions
        self._batch_size = batch_size
        self._slots = trio.Semaphore(queue_size, max_value=queue_size)
        self._queue_size = queue_size
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._closing = False
        self._ended = False
        """True once the thread has read the mark that `aclose` puts at the end of the queue."""
        self._thread = threading.Thread(target=self._run, name="store writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of requests that are queued or being executed."""
        return self._queue_size - self._slots.value

    async def submit(self, work: Work[I, R], item: I) -> R:
        """Execute `item` in the writer's thread and return its result.

        Waits for a slot in the queue first. If the caller is cancelled after that, the item is
        still executed. Raises `StoreUnavailable`, or the exception that `work` raised.
        """
        try:
            self._slots.acquire_nowait()
        except trio.WouldBlock:
            await self._slots.acquire()
        if self._closing:
            self._slots.release()
            raise StoreUnavailable(_CLOSED)
        request = _Request(cast("Work[object, object]", work), item)
        self._queue.put(request)
        answer: R = await trio.lowlevel.wait_task_rescheduled(request.forget_task)
        return answer

    async def aclose(self, deadline_s: float) -> None:
        """Execute the queued requests, then end the thread; give up after `deadline_s`."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        with trio.move_on_after(deadline_s, shield=True):
            await trio.to_thread.run_sync(self._thread.join, deadline_s, abandon_on_cancel=True)

    def _run(self) -> None:
        while not self._ended:
            batch = self._gather(self._batch_size, wait=True)
            failed_before = self._transactions.failure is not None
            answers = self._process(batch)
            failure = self._transactions.failure
            if failure is not None and not failed_before:
                # Fail the rest of the queue now: otherwise each would wait for the same lock.
                answers += _refused(self._gather(self._queue_size, wait=False), failure)
            self._post(answers)
        self._transactions.close()

    def _gather(self, limit: int, *, wait: bool) -> list[_Request]:
        """Take all queued requests up to `limit`; if `wait` is true, wait for the first."""
        batch: list[_Request] = []
        with suppress(Empty):
            while len(batch) < limit:
                request = self._queue.get(block=wait and not batch)
                if request is None:
                    self._ended = True
                    break
                batch.append(request)
        return batch

    def _process(self, batch: list[_Request]) -> _Answers:
        batch.sort(key=lambda request: (request.work.priority, request.work.name))
        answers: list[Outcome[object]] = []
        try:
            self._commit(batch, answers)
        except StoreUnavailable as error:
            rest = batch[len(answers) :]
            return [*zip(batch, answers, strict=False), *_refused(rest, str(error))]
        return list(zip(batch, answers, strict=True))

    def _commit(self, batch: Sequence[_Request], answers: list[Outcome[object]]) -> None:
        """Commit the batch as one transaction; if it fails, commit each request by itself.

        Only the request that caused the failure then fails.
        """
        if not batch:
            return
        try:
            results = self._transactions.run(lambda cursor: _all(cursor, batch))
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(batch) == 1:
                answers.append(Error(error))
                return
            for request in batch:
                self._commit([request], answers)
        else:
            answers += [Value(result) for result in results]

    def _post(self, answers: _Answers) -> None:
        """Deliver all results with one call into the trio thread."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._deliver, answers)

    def _deliver(self, answers: _Answers) -> None:
        for request, answer in answers:
            self._slots.release()
            if request.task is not None:
                trio.lowlevel.reschedule(request.task, answer)


def _all(cursor: DBAPICursor, batch: Sequence[_Request]) -> list[object]:
    results: list[object] = []
    for work, requests in groupby(batch, key=lambda request: request.work):
        results += work.run(cursor, [request.item for request in requests])
    return results


def _refused(batch: Iterable[_Request], reason: str) -> _Answers:
    return [(request, Error(StoreUnavailable(reason))) for request in batch]
