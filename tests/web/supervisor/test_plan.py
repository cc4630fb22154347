"""Tests of the supervisor's decisions: single events, and invariants of any sequence of them."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from web.supervisor.plan import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    START_S,
    STEADY_S,
    Action,
    Announce,
    Command,
    Finish,
    Kill,
    Note,
    Send,
    Start,
    SupervisorPlan,
)


def without_notes(actions: object) -> list[Action]:
    """Run a method of the plan, a generator, and return its actions without notes for the log."""
    assert hasattr(actions, "__iter__")
    return [action for action in actions if not isinstance(action, Note)]


def serving(processes: int) -> SupervisorPlan:
    """Return a plan whose first generation, numbered from 1, is ready."""
    plan = SupervisorPlan(processes)
    without_notes(plan.begin(0))
    for number in range(1, processes + 1):
        without_notes(plan.ready(number, 1))
    return plan


def test_processes_are_started_and_announced_when_all_are_ready() -> None:
    plan = SupervisorPlan(2)
    assert without_notes(plan.begin(0)) == [Start(1), Start(2)]
    assert without_notes(plan.ready(2, 1)) == []
    assert without_notes(plan.ready(1, 2)) == [Announce()]


def test_old_processes_leave_when_all_new_ones_are_ready() -> None:
    plan = serving(2)
    assert without_notes(plan.reload(5)) == [Start(3), Start(4)]
    assert without_notes(plan.ready(3, 6)) == []
    assert without_notes(plan.ready(4, 7)) == [Send(1, Command.LEAVE), Send(2, Command.LEAVE)]
    assert without_notes(plan.exited(1, 0, 8)) == without_notes(plan.exited(2, 0, 9)) == []


def test_crash_of_a_new_process_keeps_the_old_ones() -> None:
    plan = serving(2)
    without_notes(plan.reload(5))
    without_notes(plan.ready(3, 6))
    assert without_notes(plan.exited(4, 1, 7)) == [Send(3, Command.LEAVE)]
    assert without_notes(plan.exited(3, 0, 8)) == []
    assert plan.wake_at is None
    assert without_notes(plan.reload(9)) == [Start(5), Start(6)]


def test_new_process_that_hangs_is_killed() -> None:
    plan = serving(1)
    without_notes(plan.reload(5))
    assert plan.wake_at == 5 + START_S
    assert without_notes(plan.tick(5 + START_S - 0.1)) == []
    assert without_notes(plan.tick(5 + START_S)) == [Kill(2)]
    assert without_notes(plan.exited(2, -9, 70)) == []


def test_reload_during_a_reload_is_queued() -> None:
    plan = serving(1)
    assert without_notes(plan.reload(5)) == [Start(2)]
    assert without_notes(plan.reload(6)) == without_notes(plan.reload(7)) == []
    assert without_notes(plan.ready(2, 8)) == [Send(1, Command.LEAVE), Start(3)]
    assert without_notes(plan.ready(3, 9)) == [Send(2, Command.LEAVE)]


def test_reload_before_all_are_ready_waits() -> None:
    plan = SupervisorPlan(1)
    without_notes(plan.begin(0))
    assert without_notes(plan.reload(1)) == []
    assert without_notes(plan.ready(1, 2)) == [Announce(), Start(2)]


def test_crashed_process_is_restarted_with_growing_pauses() -> None:
    plan = serving(1)
    now, pauses = 10.0, []
    for number in range(1, 12):
        assert without_notes(plan.exited(number, -11, now)) == []
        assert plan.wake_at is not None
        pauses.append(plan.wake_at - now)
        now = plan.wake_at
        assert without_notes(plan.tick(now)) == [Start(number + 1)]
        without_notes(plan.ready(number + 1, now))
    assert pauses[0] < 2 * FIRST_PAUSE_S
    assert pauses == sorted(pauses)
    assert round(pauses[-1]) == LONGEST_PAUSE_S
    assert without_notes(plan.exited(12, 1, now + STEADY_S)) == []
    assert plan.wake_at is not None
    assert plan.wake_at - now - STEADY_S < 2 * FIRST_PAUSE_S


def test_failed_start_ends_the_supervisor_with_its_code() -> None:
    plan = SupervisorPlan(2)
    without_notes(plan.begin(0))
    assert without_notes(plan.exited(1, 3, 1)) == [Send(2, Command.DRAIN)]
    assert without_notes(plan.exited(2, 0, 2)) == [Finish(3)]


def test_first_stop_drains_and_second_hurries() -> None:
    plan = serving(2)
    assert without_notes(plan.stop()) == [Send(1, Command.DRAIN), Send(2, Command.DRAIN)]
    assert without_notes(plan.exited(1, 0, 5)) == []
    assert without_notes(plan.stop()) == [Send(2, Command.HURRY)]
    assert without_notes(plan.exited(2, 0, 6)) == [Finish(0)]


def test_crash_while_stopping_is_in_the_exit_code() -> None:
    plan = serving(1)
    without_notes(plan.stop())
    assert without_notes(plan.exited(1, -9, 5)) == [Finish(1)]


def test_stop_ends_a_reload() -> None:
    plan = serving(1)
    without_notes(plan.reload(2))
    assert without_notes(plan.stop()) == [Send(1, Command.DRAIN), Send(2, Command.DRAIN)]
    assert without_notes(plan.ready(2, 3)) == without_notes(plan.reload(4)) == []
    assert without_notes(plan.exited(1, 0, 5)) == []
    assert without_notes(plan.exited(2, 0, 6)) == [Finish(0)]


def test_stop_between_crash_and_restart_ends_at_once() -> None:
    plan = serving(1)
    without_notes(plan.exited(1, -9, 5))
    assert without_notes(plan.stop()) == [Finish(0)]
    assert plan.wake_at is None


class SupervisorMachine(RuleBasedStateMachine):
    """Processes that start, serve and die in any order, checked against the invariants."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.plan = SupervisorPlan(2)
        self.alive: set[int] = set()
        self.ready: set[int] = set()
        self.ordered: set[int] = set()
        self.leaving: set[int] = set()
        self.up = self.stopping = False
        self.finished: list[int] = []
        self.do(self.plan.begin(0))

    def do(self, actions: object) -> None:
        """Carry out the actions of the plan."""
        for action in without_notes(actions):
            match action:
                case Start(number):
                    assert not self.stopping
                    assert number not in self.alive
                    self.alive.add(number)
                case Send(number, order):
                    assert number in self.alive
                    self.leave(number, order)
                case Kill(number):
                    assert number in self.alive - self.ready
                case Announce():
                    assert not self.up
                    self.up = True
                case Finish(code):
                    self.finished.append(code)

    def leave(self, number: int, order: Command) -> None:
        """Record an order to leave; it is allowed only if others serve or one has crashed."""
        self.ordered.add(number)
        if order is Command.LEAVE:
            self.leaving.add(number)
            assert self.ready - self.leaving or self.crashed_since_up

    crashed_since_up = False

    @precondition(lambda self: self.alive - self.ready)
    @rule(data=st.data())
    def become_ready(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.alive - self.ready)))
        self.ready.add(number)
        self.do(self.plan.ready(number, self.now))

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), code=st.sampled_from([0, 1, -9]))
    def exit_process(self, data: st.DataObject, code: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.alive)))
        if number not in self.ordered:
            self.crashed_since_up = True
            self.stopping = self.stopping or not self.up
        self.alive.discard(number)
        self.ready.discard(number)
        self.ordered.discard(number)
        self.leaving.discard(number)
        self.do(self.plan.exited(number, code, self.now))

    @rule()
    def reload(self) -> None:
        self.do(self.plan.reload(self.now))

    @rule(seconds=st.sampled_from([0.05, 1.0, 61.0]))
    def advance_time(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.plan.tick(self.now))

    @rule()
    def stop(self) -> None:
        self.stopping = True
        self.do(self.plan.stop())

    @invariant()
    def finished_exactly_when_all_have_exited(self) -> None:
        assert bool(self.finished) == (self.stopping and not self.alive)

    @invariant()
    def at_most_four_processes(self) -> None:
        assert len(self.alive - self.leaving) <= 4

    @invariant()
    def a_process_serves_or_will_start(self) -> None:
        assert self.stopping or self.alive - self.leaving or self.plan.wake_at is not None


TestSupervisorMachine = SupervisorMachine.TestCase
