"""Tests of the key ring: rotation, rest after a refusal, and secrecy."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from actors.routing.key_ring import REST_MAX_S, REST_S, KeyCounts, KeyRing


def taken(ring: KeyRing, count: int, now: float = 0.0) -> str:
    return "".join(ring.next(now) or "-" for _ in range(count))


def test_keys_are_used_in_rotation() -> None:
    assert taken(KeyRing("abc"), 7) == "abcabca"


def test_duplicate_keys_are_removed() -> None:
    assert taken(KeyRing(["a", "b", "a"]), 4) == "abab"


def test_a_refused_key_is_passed_over_while_it_rests() -> None:
    ring = KeyRing("abc")
    ring.refused("b", 0)
    assert taken(ring, 4, REST_S - 0.1) == "acac"
    assert ring.counts(REST_S - 0.1) == KeyCounts(usable=2, refused=1)
    assert taken(ring, 4, REST_S) == "abca"
    assert ring.counts(REST_S) == KeyCounts(usable=3, refused=0)


def test_no_key_is_usable_until_the_first_rest_is_over() -> None:
    ring = KeyRing("ab")
    ring.refused("a", 0)
    assert ring.usable(1)
    assert ring.retry_in_s(1) == 0
    ring.refused("b", 1)
    assert ring.next(1.5) is None
    assert not ring.usable(1.5)
    assert ring.retry_in_s(1.5) == REST_S - 1.5
    assert taken(ring, 2, REST_S) == "aa"


def test_further_refusals_do_not_extend_the_rest() -> None:
    ring = KeyRing("a")
    ring.refused("a", 0)
    ring.refused("a", 1)
    assert ring.usable(REST_S)
    ring.refused("a", REST_S)
    assert not ring.usable(REST_S + 1)


def test_rest_of_a_key_that_stays_refused_doubles_up_to_the_maximum() -> None:
    ring, now, rests = KeyRing("a"), 0.0, []
    for _ in range(10):
        ring.refused("a", now)
        rests.append(ring.retry_in_s(now) or 0.0)
        now += rests[-1]
    assert rests == [2, 4, 8, 16, 32, 64, 128, 256, REST_MAX_S, REST_MAX_S]


def test_rest_starts_over_when_the_key_was_accepted() -> None:
    ring = KeyRing("a")
    ring.accepted("a")
    ring.refused("a", 0)
    ring.refused("a", 2)
    ring.accepted("a")  # a call from before the refusal
    assert not ring.usable(5.9)
    ring.refused("a", 6)
    assert ring.retry_in_s(6) == REST_S


def test_reset_makes_all_keys_usable() -> None:
    ring = KeyRing("ab")
    ring.refused("a", 0)
    ring.refused("b", 0)
    ring.reset()
    assert ring.counts(0) == KeyCounts(usable=2, refused=0)
    assert taken(ring, 2) == "ab"


def test_has_other_ignores_refused_keys() -> None:
    ring = KeyRing("ab")
    assert ring.has_other("a", 0)
    ring.refused("b", 0)
    assert not ring.has_other("a", 0)
    assert ring.has_other("b", 0)
    assert not KeyRing("a").has_other("a", 0)


def test_refusal_of_an_unknown_key_is_ignored() -> None:
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
