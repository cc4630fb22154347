"""Keys: used in turn, left alone once refused, and never shown."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from actors.routing.breaker import CREDIT_COOLDOWN_S
from actors.routing.keys import KeyCounts, KeyRing


def taken(ring: KeyRing, count: int, now: float = 0.0) -> str:
    return "".join(ring.next(now) or "-" for _ in range(count))


def test_each_key_in_its_turn() -> None:
    assert taken(KeyRing("abc"), 7) == "abcabca"


def test_a_key_that_stands_there_twice_is_used_once() -> None:
    assert taken(KeyRing(["a", "b", "a"]), 4) == "abab"


def test_a_refused_key_is_passed_over_for_an_hour() -> None:
    ring = KeyRing("abc")
    ring.refused("b", 0)
    assert taken(ring, 4, CREDIT_COOLDOWN_S - 1) == "acac"
    assert ring.counts(CREDIT_COOLDOWN_S - 1) == KeyCounts(usable=2, refused=1)
    assert taken(ring, 4, CREDIT_COOLDOWN_S) == "abca"
    assert ring.counts(CREDIT_COOLDOWN_S) == KeyCounts(usable=3, refused=0)


def test_when_all_are_refused_there_is_none_until_the_first_is_good_again() -> None:
    ring = KeyRing("ab")
    ring.refused("a", 0)
    assert ring.usable(10)
    assert ring.retry_in_s(10) == 0
    ring.refused("b", 10)
    assert ring.next(20) is None
    assert not ring.usable(20)
    assert ring.retry_in_s(20) == CREDIT_COOLDOWN_S - 20
    assert taken(ring, 2, CREDIT_COOLDOWN_S) == "aa"


def test_refusals_of_other_calls_do_not_make_it_longer() -> None:
    ring = KeyRing("a")
    ring.refused("a", 0)
    ring.refused("a", 100)
    assert ring.usable(CREDIT_COOLDOWN_S)
    ring.refused("a", CREDIT_COOLDOWN_S)
    assert not ring.usable(CREDIT_COOLDOWN_S + 1)


def test_a_reset_makes_all_good() -> None:
    ring = KeyRing("ab")
    ring.refused("a", 0)
    ring.refused("b", 0)
    ring.reset()
    assert ring.counts(0) == KeyCounts(usable=2, refused=0)
    assert taken(ring, 2) == "ab"


def test_others_are_those_that_could_be_used_instead() -> None:
    ring = KeyRing("ab")
    assert ring.others("a", 0)
    ring.refused("b", 0)
    assert not ring.others("a", 0)
    assert ring.others("b", 0)
    assert not KeyRing("a").others("a", 0)


def test_an_unknown_key_is_nobodys() -> None:
    ring = KeyRing("a")
    ring.refused("z", 0)
    assert ring.counts(0) == KeyCounts(usable=1, refused=0)


def test_a_ring_without_keys_is_never_usable() -> None:
    ring = KeyRing(())
    assert ring.next(0) is None
    assert not ring.usable(0)
    assert ring.retry_in_s(0) is None
    assert len(ring) == 0
    ring.reset()
    assert not ring.usable(1e9)


def test_keys_are_not_shown() -> None:
    ring = KeyRing(["sk-secret"])
    ring.refused("sk-secret", 0)
    assert repr(ring) == str(ring) == f"{ring}" == "<KeyRing of 1>"


@given(st.sets(st.sampled_from("abcde"), min_size=1), st.lists(st.sampled_from("abcde")))
def test_usable_keys_are_used_evenly(keys: set[str], refused: Sequence[str]) -> None:
    ring = KeyRing(sorted(keys))
    for key in refused:
        ring.refused(key, 0)
    left = keys - set(refused)
    given_out = taken(ring, 3 * max(1, len(left)))
    assert {key: given_out.count(key) for key in left} == dict.fromkeys(left, 3)
    assert ring.usable(0) is bool(left)
