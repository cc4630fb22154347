"""The budget of received bytes: never exceeded, fair to fast and small senders, always released."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sizes import examples
from web.server.counters import Counters
from web.server.receive_budget import LARGE, ReceiveBudget, Reception, receive_time

MB = 1024 * 1024


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Senders:
    """A budget with numbered senders; `refused` has the numbers of those that were dropped."""

    def __init__(self, limit: int) -> None:
        self.clock = Clock()
        self.counters = Counters()
        self.budget = ReceiveBudget(limit, self.clock, self.counters)
        self.refused: list[int] = []
        self.all: list[Reception] = []

    def open(self) -> Reception:
        self.all.append(self.budget.open(partial(self.refused.append, len(self.all))))
        return self.all[-1]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "add", "add", "resize", "finish", "close", "wait"]),
        st.integers(0, 20),
        st.integers(0, 3 * LARGE),
    ),
    max_size=120,
)


@settings(max_examples=examples(400))
@given(STEPS, st.integers(LARGE, 8 * LARGE))
def test_budget_is_never_exceeded_and_every_end_releases(
    steps: list[tuple[str, int, int]], limit: int
) -> None:
    senders = Senders(limit)
    for step, who, count in steps:
        one = senders.all[who % len(senders.all)] if senders.all else senders.open()
        actions: dict[str, Callable[[], object]] = {
            "open": senders.open,
            "add": partial(one.add, count),
            "resize": partial(one.resize, count),
            "finish": one.finish,
            "close": one.close,
            "wait": partial(setattr, senders.clock, "now", senders.clock.now + count / LARGE),
        }
        actions[step]()
        sizes = [one.size for one in senders.all]
        assert senders.budget.used == sum(sizes) <= limit
        assert senders.budget.used_by_large == sum(n for n in sizes if n > LARGE) <= 0.75 * limit
        assert all(senders.all[number].size == 0 for number in senders.refused)
    assert len(set(senders.refused)) == len(senders.refused) == senders.counters.receptions_refused
    for one in senders.all:
        one.close()
    assert (senders.budget.used, senders.budget.used_by_large) == (0, 0)
    assert not any(senders.budget._unfinished.values())


def test_stalled_bodies_make_room_for_one_that_progresses() -> None:
    senders = Senders(120 * MB)
    for _ in range(3):
        assert senders.open().add(19 * MB)
        senders.clock.now += 4
    uploading = senders.open()
    for _ in range(19 * 8):
        senders.clock.now += 0.125
        assert uploading.add(MB // 8)
    assert senders.refused == []
    assert senders.open().add(19 * MB)
    assert senders.refused == [0]
    assert uploading.size == 19 * MB


def test_many_fast_and_stalled_bodies_do_not_stop_small_ones() -> None:
    senders = Senders(100 * MB)
    for _ in range(40):
        senders.open().add(19 * MB)
    kept = len(senders.all) - len(senders.refused)
    assert kept == 3
    small = [senders.open() for _ in range(100)]
    assert all(one.add(200 * 1024) for one in small)
    assert len(senders.refused) == 37


def test_finished_body_is_not_refused_in_favour_of_others() -> None:
    senders = Senders(40 * MB)
    first = senders.open()
    first.add(20 * MB)
    first.finish()
    senders.clock.now = 100
    late = senders.open()
    assert not late.add(20 * MB)
    assert (first.size, late.refused) == (20 * MB, True)
    first.close()
    assert senders.open().add(20 * MB)


def test_small_bodies_alone_may_fill_the_budget_but_not_exceed_it() -> None:
    senders = Senders(4 * MB)
    first = senders.open()
    assert first.add(LARGE)
    senders.clock.now = 5
    assert all(senders.open().add(LARGE) for _ in range(15))
    assert senders.open().add(LARGE)
    assert senders.refused == [0]


def test_refused_and_closed_receptions_stay_empty() -> None:
    senders = Senders(MB)
    one = senders.open()
    assert not one.add(2 * MB)
    assert not one.add(1)
    other = senders.open()
    other.add(5)
    other.close()
    assert not other.add(5)
    assert senders.budget.used == 0
    assert senders.refused == [0]


@pytest.mark.parametrize(
    ("received", "seconds"), [(0, 3), (8192, 4), (73_728, 12), (19 * MB, 12), (1 << 60, 12)]
)
def test_time_for_a_body_grows_with_its_bytes_up_to_a_maximum(received: int, seconds: int) -> None:
    assert receive_time(3, received) == seconds
