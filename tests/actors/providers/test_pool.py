"""Which connection is used next, and which are closed."""

from actors.providers.pool import IdlePool

HERE = ("http", "here", 80)
THERE = ("https", "there", 443)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_last_put_is_the_first_taken() -> None:
    pool: IdlePool[str] = IdlePool(5, 30.0, Clock())
    for name in "abc":
        assert pool.put(HERE, name) == []
    assert [pool.take(HERE) for _ in range(4)] == ["c", "b", "a", None]


def test_origins_are_kept_apart() -> None:
    pool: IdlePool[str] = IdlePool(5, 30.0, Clock())
    pool.put(HERE, "a")
    pool.put(THERE, "b")
    pool.put(HERE, "c")
    assert pool.take(THERE) == "b"
    assert pool.take(THERE) is None
    assert pool.take(("http", "there", 443)) is None
    assert [pool.take(HERE), pool.take(HERE)] == ["c", "a"]


def test_over_the_bound_the_oldest_goes() -> None:
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


def test_clearing_gives_back_all() -> None:
    pool: IdlePool[str] = IdlePool(5, 30.0, Clock())
    pool.put(HERE, "a")
    pool.put(THERE, "b")
    assert pool.clear() == ["a", "b"]
    assert len(pool) == 0
