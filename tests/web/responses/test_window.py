"""What fits into a window: the oldest go first, never instructions, never the end."""

from hypothesis import given
from hypothesis import strategies as st

from web.responses.units import Unit
from web.responses.window import Weighed, fitting


def unit(role: str) -> Unit:
    return Unit([{"role": role, "content": "x"}])


def weighed(*roles: str, tokens: int = 10) -> list[Weighed]:
    return [Weighed(unit(role), tokens) for role in roles]


def kept(units: list[Weighed], room: int) -> list[int]:
    left = fitting(units, room)
    return [place for place, one in enumerate(units) if any(one.unit is unit for unit in left)]


def test_what_fits_stays_whole() -> None:
    assert kept(weighed("user", "assistant", "user"), 30) == [0, 1, 2]


def test_the_oldest_go_and_a_user_speaks_first() -> None:
    units = weighed("user", "assistant", "user", "assistant", "user")
    assert kept(units, 40) == [2, 3, 4]
    assert kept(units, 30) == [2, 3, 4]
    assert kept(units, 29) == [4]


def test_instructions_stay() -> None:
    units = weighed("developer", "user", "system", "assistant", "user")
    assert kept(units, 30) == [0, 2, 4]
    assert kept(units, 0) == [0, 2, 4]


def test_the_last_stays_whatever_it_takes() -> None:
    assert kept(weighed("user"), 0) == [0]
    assert kept(weighed("user", "assistant"), -5) == [1]


def test_where_no_user_speaks_the_model_may_begin() -> None:
    assert kept(weighed("assistant", "assistant", "assistant"), 20) == [1, 2]


ROLES = st.sampled_from(["user", "assistant", "system"])
UNITS = st.lists(st.builds(lambda role, n: Weighed(unit(role), n), ROLES, st.integers(0, 50)))


@given(UNITS, st.integers(-10, 300))
def test_as_little_as_possible_goes(units: list[Weighed], room: int) -> None:
    left = kept(units, room)
    dropped = [place for place in range(len(units)) if place not in left]
    assert all(units[place].unit.role != "system" for place in dropped)
    assert not units or len(units) - 1 in left
    taken = sum(units[place].tokens for place in left)
    movable = [p for p in left if units[p].unit.role != "system" and p != len(units) - 1]
    assert taken <= room or not movable
    if dropped:
        last = dropped[-1]
        assert all(place > last for place in movable)
        users = [place for place, one in enumerate(units) if one.unit.role == "user"]
        needless = taken + units[last].tokens <= room
        assert not needless or (units[last].unit.role != "user" and users[-1] > last)
    else:
        assert left == list(range(len(units)))
