"""Tests of the rate window: sums of the last minute and the 90 % mark."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.routing.rate_window import WINDOW_S, RateUsage, RateWindow


def requests(limit: int | None, *times: float) -> RateWindow:
    capacity = RateWindow(limit, None)
    for now in times:
        capacity.note_request(now)
    return capacity


def test_nothing_is_limited_by_default() -> None:
    capacity = RateWindow(None, None)
    for _ in range(1000):
        capacity.note_request(0)
        capacity.note_tokens(0, 1_000_000)
    assert not capacity.hot(0)
    assert capacity.usage(0) == RateUsage(1000, 1_000_000_000)


@pytest.mark.parametrize(("count", "hot"), [(0, False), (8, False), (9, True), (10, True)])
def test_hot_from_nine_tenths_of_the_requests(count: int, hot: bool) -> None:
    assert requests(10, *[5.0] * count).hot(5.0) is hot


@pytest.mark.parametrize(("tokens", "hot"), [(899, False), (900, True), (5000, True)])
def test_hot_from_nine_tenths_of_the_tokens(tokens: int, hot: bool) -> None:
    capacity = RateWindow(10, 1000)
    capacity.note_request(0)
    capacity.note_tokens(0, tokens)
    assert capacity.hot(0) is hot


def test_counts_expire_after_a_minute() -> None:
    capacity = requests(10, *[0.0] * 9)
    assert capacity.hot(59.9)
    assert not capacity.hot(60)
    assert capacity.usage(60) == RateUsage(0, 0)


def test_the_window_slides() -> None:
    capacity = requests(10, *(float(now) for now in range(100)))
    assert capacity.usage(99) == RateUsage(60, 0)
    assert capacity.usage(129) == RateUsage(30, 0)
    assert capacity.usage(158) == RateUsage(1, 0)
    assert capacity.usage(159) == RateUsage(0, 0)


def test_memory_is_bounded_by_the_window() -> None:
    capacity = requests(None, *(tick / 10 for tick in range(10_000)))
    assert len(capacity._seconds) == WINDOW_S


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.3, 1.0, 7.5, 59.5, 60.0, 200.0]), st.integers(0, 50)),
        max_size=60,
    )
)
def test_sums_cover_the_last_sixty_clock_seconds(
    steps: list[tuple[float, int]],
) -> None:
    capacity, now, noted = RateWindow(None, None), 1000.0, list[tuple[float, int]]()
    for passed, tokens in steps:
        now += passed
        capacity.note_request(now)
        capacity.note_tokens(now, tokens)
        noted.append((now, tokens))
        fresh = [n for at, n in noted if int(at) > int(now) - WINDOW_S]
        assert capacity.usage(now) == RateUsage(len(fresh), sum(fresh))
