"""What a supervisor does about what happens, as a state machine: no processes, no clock.

A *generation* is a set of processes started together. Normally one serves. A reload starts the
next one, and only when all of it serves is the old one told to leave; if one of the new processes
dies before that, the new generation is given up and the old one goes on.
"""

from collections.abc import Iterator
from enum import Enum, auto

from msgspec import Struct

from web.supervise.orders import Order

START_S = 60.0
"""Seconds that a process has until it serves; then it is killed, as one that hangs."""
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""A process that lived this long did not die of its start: the pauses begin anew."""


class Start(Struct, frozen=True):
    """Start a process and know it by this number."""

    number: int


class Tell(Struct, frozen=True):
    """Give a process an order."""

    number: int
    order: Order


class Kill(Struct, frozen=True):
    """End a process that does not listen."""

    number: int


class Announce(Struct, frozen=True):
    """The service is up."""


class Finish(Struct, frozen=True):
    """Exit with this code."""

    code: int


class Note(Struct, frozen=True):
    """Tell the operator; `trouble` means as an error."""

    event: str
    number: int | None = None
    trouble: bool = False


Action = Start | Tell | Kill | Announce | Finish | Note


class State(Enum):
    """What a process is at."""

    STARTING = auto()
    SERVING = auto()
    LEAVING = auto()


class Worker(Struct):
    """A server process."""

    number: int
    generation: int
    since: float
    state: State = State.STARTING


class Plan:
    """Feed it what happens, with the time; do what it yields, in order and at once."""

    def __init__(self, processes: int) -> None:
        self._wanted = processes
        self._workers: dict[int, Worker] = {}
        self._last_number = 0
        self._generation = 1
        self._next: int | None = None
        """The generation that a reload is starting."""
        self._reload_again = False
        self._up = False
        self._stopping = False
        self._code = 0
        self._failures = 0
        self._start_at: float | None = None

    @property
    def wake_at(self) -> float | None:
        """When `tick` is due, if nothing happens before."""
        starting = [w.since + START_S for w in self._workers.values() if _starts(w)]
        return min([*starting, *([] if self._start_at is None else [self._start_at])], default=None)

    def begin(self, now: float) -> Iterator[Action]:
        """The supervisor starts."""
        yield from self._start_missing(self._generation, now)

    def ready(self, number: int, now: float) -> Iterator[Action]:
        """A process serves."""
        worker = self._workers.get(number)
        if worker is None or worker.state is not State.STARTING:
            return
        worker.state = State.SERVING
        if self._stopping:
            return
        if worker.generation == self._next:
            yield from self._take_over(now)
        elif not self._up and self._all_serve(self._generation):
            self._up = True
            yield Announce()
            yield from self._reload_once_more(now)

    def exited(self, number: int, code: int, now: float) -> Iterator[Action]:
        """A process is gone; a negative code is a signal."""
        worker = self._workers.pop(number)
        if worker.state is not State.LEAVING and not self._stopping:
            yield from self._died(worker, code, now)
        elif code:
            yield Note("a process died instead of leaving", number, trouble=True)
            self._code = self._code or int(self._stopping)
        if self._stopping and not self._workers:
            yield Finish(self._code)

    def reload(self, now: float) -> Iterator[Action]:
        """Replace all processes, one generation by the next."""
        if self._stopping:
            return
        if self._next is not None or not self._up:
            self._reload_again = True
            return
        self._next = self._generation + 1
        yield Note("starting new processes")
        yield from self._start_missing(self._next, now)

    def stop(self) -> Iterator[Action]:
        """End everything; asked again, in a hurry."""
        order = Order.HURRY if self._stopping else Order.DRAIN
        self._stopping, self._start_at = True, None
        for number in self._workers:
            yield Tell(number, order)
        if not self._workers:
            yield Finish(self._code)

    def tick(self, now: float) -> Iterator[Action]:
        """Time has passed."""
        for worker in self._workers.values():
            if _starts(worker) and now >= worker.since + START_S:
                worker.since = now  # not again at every tick
                yield Note("a process does not get ready and is killed", worker.number, True)
                yield Kill(worker.number)
        if self._start_at is not None and now >= self._start_at:
            self._start_at = None
            yield from self._start_missing(self._generation, now)

    def _died(self, worker: Worker, code: int, now: float) -> Iterator[Action]:
        if worker.generation == self._next:
            yield Note("a new process died: the old ones go on", worker.number, trouble=True)
            yield from self._give_up_next(now)
        elif not self._up:
            yield from self._refuse(code)
        else:
            yield Note("a process died", worker.number, trouble=True)
            if now - worker.since >= STEADY_S:
                self._failures = 0
            self._start_soon(now)

    def _refuse(self, code: int) -> Iterator[Action]:
        """The first processes do not come up: the mistake is the operator's to see."""
        self._code = code if code > 0 else 1
        yield from self.stop()

    def _give_up_next(self, now: float) -> Iterator[Action]:
        yield from self._tell_to_leave(self._next)
        self._next = None
        if self._missing(self._generation):
            self._start_soon(now)
        yield from self._reload_once_more(now)

    def _take_over(self, now: float) -> Iterator[Action]:
        if self._next is None or not self._all_serve(self._next):
            return
        old, self._generation, self._next = self._generation, self._next, None
        self._start_at, self._failures = None, 0
        yield Note("new processes serve")
        yield from self._tell_to_leave(old)
        yield from self._reload_once_more(now)

    def _reload_once_more(self, now: float) -> Iterator[Action]:
        if self._reload_again:
            self._reload_again = False
            yield from self.reload(now)

    def _tell_to_leave(self, generation: int | None) -> Iterator[Action]:
        for worker in self._of(generation):
            worker.state = State.LEAVING
            yield Tell(worker.number, Order.LEAVE)

    def _start_soon(self, now: float) -> None:
        pause = min(FIRST_PAUSE_S * 2**self._failures, LONGEST_PAUSE_S)
        self._failures = min(self._failures + 1, 16)
        self._start_at = now + pause

    def _start_missing(self, generation: int, now: float) -> Iterator[Action]:
        for _ in range(self._missing(generation)):
            self._last_number += 1
            self._workers[self._last_number] = Worker(self._last_number, generation, now)
            yield Start(self._last_number)

    def _missing(self, generation: int) -> int:
        return self._wanted - len(self._of(generation))

    def _all_serve(self, generation: int) -> bool:
        serving = [w for w in self._of(generation) if w.state is State.SERVING]
        return len(serving) == self._wanted

    def _of(self, generation: int | None) -> list[Worker]:
        """The processes of a generation that are to stay."""
        workers = self._workers.values()
        return [w for w in workers if w.generation == generation and w.state is not State.LEAVING]


def _starts(worker: Worker) -> bool:
    return worker.state is State.STARTING
