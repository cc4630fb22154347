import string

from hypothesis import given
from hypothesis import strategies as st

from store.records.ids import new_id

CROCKFORD = set(string.digits + string.ascii_lowercase) - set("ilou")


def test_id_is_prefix_and_26_base32_characters() -> None:
    made = new_id("msg_")
    assert made.startswith("msg_")
    assert len(made) == len("msg_") + 26
    assert set(made.removeprefix("msg_")) <= CROCKFORD


def test_id_begins_with_time() -> None:
    assert new_id("x_", now=0.0).startswith("x_" + "0" * 10)
    assert new_id("x_", now=0.001).startswith("x_" + "0" * 9 + "1")


def test_ids_of_same_millisecond_differ() -> None:
    assert len({new_id("x_", now=5.0) for _ in range(1000)}) == 1000


@given(st.integers(0, 2**48 - 2), st.integers(1, 2**40))
def test_later_ids_sort_later(ms: int, later: int) -> None:
    last = min(ms + later, 2**48 - 1)
    assert new_id("x_", now=(ms + 0.5) / 1000) < new_id("x_", now=(last + 0.5) / 1000)
