"""Tests of the connection pool: order of reuse, limits and expiry."""

from actors.providers.http.pool import IdlePool

HERE = ("http", "here", 80)
THERE = ("https", "there", 443)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_last_connection_put_is_taken_first() -> None:
    pool: IdlePool[str] = IdlePool(5, 30.0, Clock())
    for name in "abc":
        assert pool.put(HERE, name) == []
    assert [pool.take(HERE) for _ in range(4)] == ["c", "b", "a", None]


def test_origins_are_separate() -> None:
    pool: IdlePool[str] = IdlePool(5, 30.0, Clock())
    pool.put(HERE, "a")
    pool.put(THERE, "b")
    pool.put(HERE, "c")
    assert pool.take(THERE) == "b"
    assert pool.take(THERE) is None
    assert pool.take(("http", "there", 443)) is None
    assert [pool.take(HERE), pool.take(HERE)] == ["c", "a"]


def test_oldest_connection_is_dropped_beyond_the_limit() -> None:
    pool: IdlePool[str] = IdlePool(2, 30.0, Clock())
    assert [pool.put(HERE, name) for name in "abc"] == [[], [], ["a"]]
    assert len(pool) == 2
    nothing: IdlePool[str] = IdlePool(0, 30.0, Clock())
    assert nothing.put(HERE, "a") == ["a"]


def test_idle_time_is_counted_from_the_last_use() -> None:
    clock = Clock()
    pool: IdlePool[str] = IdlePool(5, 30.0, clock)
    pool.put(HERE, "a")
    clock.now += 20
    pool.put(HERE, "b")
    clock.now += 9.9
    assert pool.expired() == []
    clock.now += 0.1
    assert pool.expired() == ["a"]
    clock.now += 20
    assert pool.put(HERE, "c") == ["b"]
    assert pool.take(HERE) == "c"


def test_clear_returns_all_connections() -> None:
    pool: IdlePool[str] = IdlePool(5, 30.0, Clock())
    pool.put(HERE, "a")
    pool.put(THERE, "b")
    assert pool.clear() == ["a", "b"]
    assert len(pool) == 0
