"""What a supervisor decides, event by event, and what holds whatever happens."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from web.supervise.orders import Order
from web.supervise.plan import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    START_S,
    STEADY_S,
    Action,
    Announce,
    Finish,
    Kill,
    Note,
    Plan,
    Start,
    Tell,
)


def deeds(actions: object) -> list[Action]:
    """The actions without what is only said."""
    assert hasattr(actions, "__iter__")
    return [action for action in actions if not isinstance(action, Note)]


def serving(processes: int) -> Plan:
    """A plan whose first generation, numbered from 1, is up."""
    plan = Plan(processes)
    deeds(plan.begin(0))
    for number in range(1, processes + 1):
        deeds(plan.ready(number, 1))
    return plan


def test_it_starts_what_was_asked_for_and_announces_when_all_serve() -> None:
    plan = Plan(2)
    assert deeds(plan.begin(0)) == [Start(1), Start(2)]
    assert deeds(plan.ready(2, 1)) == []
    assert deeds(plan.ready(1, 2)) == [Announce()]


def test_the_old_leave_when_all_the_new_serve() -> None:
    plan = serving(2)
    assert deeds(plan.reload(5)) == [Start(3), Start(4)]
    assert deeds(plan.ready(3, 6)) == []
    assert deeds(plan.ready(4, 7)) == [Tell(1, Order.LEAVE), Tell(2, Order.LEAVE)]
    assert deeds(plan.exited(1, 0, 8)) == deeds(plan.exited(2, 0, 9)) == []


def test_a_new_one_that_dies_leaves_the_old_in_place() -> None:
    plan = serving(2)
    deeds(plan.reload(5))
    deeds(plan.ready(3, 6))
    assert deeds(plan.exited(4, 1, 7)) == [Tell(3, Order.LEAVE)]
    assert deeds(plan.exited(3, 0, 8)) == []
    assert plan.wake_at is None
    assert deeds(plan.reload(9)) == [Start(5), Start(6)]


def test_a_new_one_that_hangs_is_killed() -> None:
    plan = serving(1)
    deeds(plan.reload(5))
    assert plan.wake_at == 5 + START_S
    assert deeds(plan.tick(5 + START_S - 0.1)) == []
    assert deeds(plan.tick(5 + START_S)) == [Kill(2)]
    assert deeds(plan.exited(2, -9, 70)) == []


def test_a_reload_during_a_reload_follows_it() -> None:
    plan = serving(1)
    assert deeds(plan.reload(5)) == [Start(2)]
    assert deeds(plan.reload(6)) == deeds(plan.reload(7)) == []
    assert deeds(plan.ready(2, 8)) == [Tell(1, Order.LEAVE), Start(3)]
    assert deeds(plan.ready(3, 9)) == [Tell(2, Order.LEAVE)]


def test_a_reload_before_all_serve_waits_for_that() -> None:
    plan = Plan(1)
    deeds(plan.begin(0))
    assert deeds(plan.reload(1)) == []
    assert deeds(plan.ready(1, 2)) == [Announce(), Start(2)]


def test_a_crash_is_followed_by_a_start_after_pauses_that_grow() -> None:
    plan = serving(1)
    now, pauses = 10.0, []
    for number in range(1, 12):
        assert deeds(plan.exited(number, -11, now)) == []
        assert plan.wake_at is not None
        pauses.append(plan.wake_at - now)
        now = plan.wake_at
        assert deeds(plan.tick(now)) == [Start(number + 1)]
        deeds(plan.ready(number + 1, now))
    assert pauses[0] < 2 * FIRST_PAUSE_S
    assert pauses == sorted(pauses)
    assert round(pauses[-1]) == LONGEST_PAUSE_S
    assert deeds(plan.exited(12, 1, now + STEADY_S)) == []
    assert plan.wake_at is not None
    assert plan.wake_at - now - STEADY_S < 2 * FIRST_PAUSE_S


def test_first_processes_that_refuse_end_it_with_their_code() -> None:
    plan = Plan(2)
    deeds(plan.begin(0))
    assert deeds(plan.exited(1, 3, 1)) == [Tell(2, Order.DRAIN)]
    assert deeds(plan.exited(2, 0, 2)) == [Finish(3)]


def test_asked_to_stop_it_drains_and_asked_again_it_hurries() -> None:
    plan = serving(2)
    assert deeds(plan.stop()) == [Tell(1, Order.DRAIN), Tell(2, Order.DRAIN)]
    assert deeds(plan.exited(1, 0, 5)) == []
    assert deeds(plan.stop()) == [Tell(2, Order.HURRY)]
    assert deeds(plan.exited(2, 0, 6)) == [Finish(0)]


def test_a_process_that_dies_while_stopping_shows_in_the_code() -> None:
    plan = serving(1)
    deeds(plan.stop())
    assert deeds(plan.exited(1, -9, 5)) == [Finish(1)]


def test_stopping_ends_a_reload_too() -> None:
    plan = serving(1)
    deeds(plan.reload(2))
    assert deeds(plan.stop()) == [Tell(1, Order.DRAIN), Tell(2, Order.DRAIN)]
    assert deeds(plan.ready(2, 3)) == deeds(plan.reload(4)) == []
    assert deeds(plan.exited(1, 0, 5)) == []
    assert deeds(plan.exited(2, 0, 6)) == [Finish(0)]


def test_stopping_between_a_crash_and_its_restart_ends_at_once() -> None:
    plan = serving(1)
    deeds(plan.exited(1, -9, 5))
    assert deeds(plan.stop()) == [Finish(0)]
    assert plan.wake_at is None


class Anything(RuleBasedStateMachine):
    """Processes that start, die and serve in any order, against what must always hold."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.plan = Plan(2)
        self.alive: set[int] = set()
        self.ready: set[int] = set()
        self.told: set[int] = set()
        self.leaving: set[int] = set()
        self.up = self.stopping = False
        self.finished: list[int] = []
        self.do(self.plan.begin(0))

    def do(self, actions: object) -> None:
        """Carry out what was decided."""
        for action in deeds(actions):
            match action:
                case Start(number):
                    assert not self.stopping
                    assert number not in self.alive
                    self.alive.add(number)
                case Tell(number, order):
                    assert number in self.alive
                    self.leave(number, order)
                case Kill(number):
                    assert number in self.alive - self.ready
                case Announce():
                    assert not self.up
                    self.up = True
                case Finish(code):
                    self.finished.append(code)

    def leave(self, number: int, order: Order) -> None:
        """A process is told to go: only when others serve, or when all is to stop."""
        self.told.add(number)
        if order is Order.LEAVE:
            self.leaving.add(number)
            assert self.ready - self.leaving or self.crashed_since_up

    crashed_since_up = False

    @precondition(lambda self: self.alive - self.ready)
    @rule(data=st.data())
    def one_serves(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.alive - self.ready)))
        self.ready.add(number)
        self.do(self.plan.ready(number, self.now))

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), code=st.sampled_from([0, 1, -9]))
    def one_dies(self, data: st.DataObject, code: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.alive)))
        if number not in self.told:
            self.crashed_since_up = True
            self.stopping = self.stopping or not self.up
        self.alive.discard(number)
        self.ready.discard(number)
        self.told.discard(number)
        self.leaving.discard(number)
        self.do(self.plan.exited(number, code, self.now))

    @rule()
    def reload(self) -> None:
        self.do(self.plan.reload(self.now))

    @rule(seconds=st.sampled_from([0.05, 1.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.plan.tick(self.now))

    @rule()
    def stop(self) -> None:
        self.stopping = True
        self.do(self.plan.stop())

    @invariant()
    def it_ends_when_all_are_gone_and_only_then(self) -> None:
        assert bool(self.finished) == (self.stopping and not self.alive)

    @invariant()
    def there_are_never_too_many(self) -> None:
        assert len(self.alive - self.leaving) <= 4

    @invariant()
    def somebody_serves_or_will(self) -> None:
        assert self.stopping or self.alive - self.leaving or self.plan.wake_at is not None


TestAnything = Anything.TestCase
