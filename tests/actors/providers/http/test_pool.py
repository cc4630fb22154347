"""Tests of the connection pool: order of reuse, limits and expiry."""

from actors.providers.http.pool import IdlePool

HERE = ("http", "here", 80)
THERE = ("https", "there", 443)


class Pool(IdlePool[str]):
    """A pool of names that records which ones it has closed, with a clock of its own."""

    def __init__(self, max_idle: int = 5) -> None:
        self.closed: list[str] = []
        self.now = 100.0
        super().__init__(max_idle, 30.0, lambda: self.now, self.closed.append)


def test_last_connection_put_is_taken_first() -> None:
    pool = Pool()
    for name in "abc":
        pool.put(HERE, name)
    assert [pool.take(HERE) for _ in range(4)] == ["c", "b", "a", None]
    assert pool.closed == []


def test_origins_are_separate() -> None:
    pool = Pool()
    pool.put(HERE, "a")
    pool.put(THERE, "b")
    pool.put(HERE, "c")
    assert pool.take(THERE) == "b"
    assert pool.take(THERE) is None
    assert pool.take(("http", "there", 443)) is None
    assert [pool.take(HERE), pool.take(HERE)] == ["c", "a"]


def test_oldest_connection_is_closed_beyond_the_limit() -> None:
    pool = Pool(2)
    for name, closed in (("a", []), ("b", []), ("c", ["a"])):
        pool.put(HERE, name)
        assert pool.closed == closed
    assert len(pool) == 2
    nothing = Pool(0)
    nothing.put(HERE, "a")
    assert nothing.closed == ["a"]


def test_idle_time_is_counted_from_the_last_use() -> None:
    pool = Pool()
    pool.put(HERE, "a")
    pool.now += 20
    pool.put(HERE, "b")
    pool.now += 9.9
    assert pool.take(THERE) is None
    assert pool.closed == []
    pool.now += 0.1
    assert pool.take(THERE) is None
    assert pool.closed == ["a"]
    pool.now += 20
    pool.put(HERE, "c")
    assert pool.closed == ["a", "b"]
    assert pool.take(HERE) == "c"


def test_clear_removes_all_connections() -> None:
    pool = Pool()
    pool.put(HERE, "a")
    pool.put(THERE, "b")
    pool.clear()
    assert len(pool) == 0
    assert pool.closed == []
