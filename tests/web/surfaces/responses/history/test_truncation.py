"""Tests of truncation: the oldest groups are dropped, but never instructions or the last group."""

from hypothesis import given
from hypothesis import strategies as st

from actors.turn.chat_messages import read_messages
from web.surfaces.responses.history.message_groups import MessageGroup
from web.surfaces.responses.history.model_context import CountedGroup, fitting


def group(role: str) -> MessageGroup:
    return MessageGroup(read_messages([{"role": role, "content": "x"}]))


def counted(*roles: str, tokens: int = 10) -> list[CountedGroup]:
    return [CountedGroup(group(role), tokens) for role in roles]


def kept(groups: list[CountedGroup], room: int) -> list[int]:
    left = fitting(groups, room)
    return [place for place, one in enumerate(groups) if any(one.group is group for group in left)]


def test_conversation_that_fits_is_unchanged() -> None:
    assert kept(counted("user", "assistant", "user"), 30) == [0, 1, 2]


def test_oldest_groups_are_dropped_up_to_a_user_message() -> None:
    groups = counted("user", "assistant", "user", "assistant", "user")
    assert kept(groups, 40) == [2, 3, 4]
    assert kept(groups, 30) == [2, 3, 4]
    assert kept(groups, 29) == [4]


def test_instructions_are_kept() -> None:
    groups = counted("developer", "user", "system", "assistant", "user")
    assert kept(groups, 30) == [0, 2, 4]
    assert kept(groups, 0) == [0, 2, 4]


def test_last_group_is_always_kept() -> None:
    assert kept(counted("user"), 0) == [0]
    assert kept(counted("user", "assistant"), -5) == [1]


def test_rest_may_begin_with_the_model_if_there_is_no_user_message() -> None:
    assert kept(counted("assistant", "assistant", "assistant"), 20) == [1, 2]


ROLES = st.sampled_from(["user", "assistant", "system"])
GROUPS = st.lists(
    st.builds(lambda role, n: CountedGroup(group(role), n), ROLES, st.integers(0, 50))
)


@given(GROUPS, st.integers(-10, 300))
def test_no_more_groups_are_dropped_than_necessary(groups: list[CountedGroup], room: int) -> None:
    left = kept(groups, room)
    dropped = [place for place in range(len(groups)) if place not in left]
    assert all(groups[place].group.role != "system" for place in dropped)
    assert not groups or len(groups) - 1 in left
    taken = sum(groups[place].tokens for place in left)
    movable = [p for p in left if groups[p].group.role != "system" and p != len(groups) - 1]
    assert taken <= room or not movable
    if dropped:
        last = dropped[-1]
        assert all(place > last for place in movable)
        users = [place for place, one in enumerate(groups) if one.group.role == "user"]
        needless = taken + groups[last].tokens <= room
        assert not needless or (groups[last].group.role != "user" and users[-1] > last)
    else:
        assert left == list(range(len(groups)))
