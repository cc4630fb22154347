"""Decides what a supervisor does, as a pure state machine without processes or a clock.

The messages between the parent and its children are defined here too: `READY` and `Command`.

A *generation* is a set of processes started together. Normally one generation serves. A reload
starts the next one; the old one gets the order to leave only when all new processes serve. If a
new process dies before that, the new generation is abandoned and the old one keeps serving.
"""

from collections.abc import Iterator
from enum import Enum, auto

from msgspec import Struct

READY = b"R"
"""Message of a child: it serves."""

START_S = 60.0
"""Seconds that a process has until it must serve; after that it is killed."""
FIRST_PAUSE_S = 0.1
"""Seconds before a process that died is first replaced; doubled with each further death."""
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""Lifetime in seconds after which a death resets the pause: it was not a failed start."""


class Command(Enum):
    """A message of the parent."""

    LEAVE = b"L"
    """Hand over to new processes: stop accepting, answer open requests, drain."""
    DRAIN = b"D"
    """Stop the service: refuse new turns, drain."""
    HURRY = b"H"
    """Stop waiting: cancel and record live turns, then exit."""


class Start(Struct, frozen=True):
    """An action: start a process and identify it by this number."""

    number: int


class Send(Struct, frozen=True):
    """An action: send an order to a process."""

    number: int
    order: Command


class Kill(Struct, frozen=True):
    """An action: kill a process that does not get ready."""

    number: int


class Announce(Struct, frozen=True):
    """An action: announce to systemd that the service is up."""


class Finish(Struct, frozen=True):
    """An action: exit with this code."""

    code: int


class Note(Struct, frozen=True):
    """An action: log an event, as an error if `is_error`."""

    event: str
    number: int | None = None
    is_error: bool = False


Action = Start | Send | Kill | Announce | Finish | Note


class State(Enum):
    """The state of a process."""

    STARTING = auto()
    SERVING = auto()
    LEAVING = auto()


class Worker(Struct):
    """A server process."""

    number: int
    generation: int
    since: float
    state: State = State.STARTING


class SupervisorPlan:
    """The supervisor's state machine.

    Call a method for each thing that happens, with the current time, and carry out the actions
    that it yields, in order and at once.
    """

    def __init__(self, processes: int) -> None:
        self._wanted = processes
        self._workers: dict[int, Worker] = {}
        self._last_number = 0
        self._generation = 1
        self._next: int | None = None
        """Generation that a reload is starting; None if no reload is in progress."""
        self._reload_again = False
        self._up = False
        self._stopping = False
        self._code = 0
        self._failures = 0
        self._start_at: float | None = None

    @property
    def wake_at(self) -> float | None:
        """Time at which `tick` is due, unless something happens before; None for never."""
        starting = [w.since + START_S for w in self._workers.values() if _starts(w)]
        return min([*starting, *([] if self._start_at is None else [self._start_at])], default=None)

    def begin(self, now: float) -> Iterator[Action]:
        """Yield the actions for the supervisor's start."""
        yield from self._start_missing(self._generation, now)

    def ready(self, number: int, now: float) -> Iterator[Action]:
        """Yield the actions after a process has reported that it serves."""
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
        """Yield the actions after a process has exited; a negative code is a signal."""
        worker = self._workers.pop(number)
        if worker.state is not State.LEAVING and not self._stopping:
            yield from self._died(worker, code, now)
        elif code:
            yield Note("process died while stopping", number, is_error=True)
            self._code = self._code or int(self._stopping)
        if self._stopping and not self._workers:
            yield Finish(self._code)

    def reload(self, now: float) -> Iterator[Action]:
        """Yield the actions that replace all processes by a new generation."""
        if self._stopping:
            return
        if self._next is not None or not self._up:
            self._reload_again = True
            return
        self._next = self._generation + 1
        yield Note("reload started")
        yield from self._start_missing(self._next, now)

    def stop(self) -> Iterator[Action]:
        """Yield the actions that stop all processes; the second call makes them hurry."""
        order = Command.HURRY if self._stopping else Command.DRAIN
        self._stopping, self._start_at = True, None
        for number in self._workers:
            yield Send(number, order)
        if not self._workers:
            yield Finish(self._code)

    def tick(self, now: float) -> Iterator[Action]:
        """Yield the actions that are due by now."""
        for worker in self._workers.values():
            if _starts(worker) and now >= worker.since + START_S:
                worker.since = now  # otherwise every tick would kill it again
                yield Note("process start timed out", worker.number, True)
                yield Kill(worker.number)
        if self._start_at is not None and now >= self._start_at:
            self._start_at = None
            yield from self._start_missing(self._generation, now)

    def _died(self, worker: Worker, code: int, now: float) -> Iterator[Action]:
        if worker.generation == self._next:
            yield Note("reload failed", worker.number, is_error=True)
            yield from self._abandon_next(now)
        elif not self._up:
            # The first processes fail to start: the operator has to fix the cause.
            self._code = code if code > 0 else 1
            yield from self.stop()
        else:
            yield Note("process died", worker.number, is_error=True)
            if now - worker.since >= STEADY_S:
                self._failures = 0
            self._start_soon(now)

    def _abandon_next(self, now: float) -> Iterator[Action]:
        yield from self._order_to_leave(self._next)
        self._next = None
        if self._missing(self._generation):
            self._start_soon(now)
        yield from self._reload_once_more(now)

    def _take_over(self, now: float) -> Iterator[Action]:
        if self._next is None or not self._all_serve(self._next):
            return
        old, self._generation, self._next = self._generation, self._next, None
        self._start_at, self._failures = None, 0
        yield Note("reload finished")
        yield from self._order_to_leave(old)
        yield from self._reload_once_more(now)

    def _reload_once_more(self, now: float) -> Iterator[Action]:
        if self._reload_again:
            self._reload_again = False
            yield from self.reload(now)

    def _order_to_leave(self, generation: int | None) -> Iterator[Action]:
        for worker in self._of(generation):
            worker.state = State.LEAVING
            yield Send(worker.number, Command.LEAVE)

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
        """Return the processes of a generation that have no order to leave."""
        workers = self._workers.values()
        return [w for w in workers if w.generation == generation and w.state is not State.LEAVING]


def _starts(worker: Worker) -> bool:
    return worker.state is State.STARTING
