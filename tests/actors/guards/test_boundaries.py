"""Marks around the system prompt are stable, depend on the secret, and are found whole."""

from hypothesis import given
from hypothesis import strategies as st

from actors.guards.boundaries import LONGEST_MARK, MARK, Edge, mark, wrap
from actors.guards.spec import GuardContext

SECRET = b"0123456789abcdef"


def test_prompt_is_wrapped_the_same_way_every_time() -> None:
    wrapped = wrap(SECRET, "Be brief.")
    first, *middle, last = wrapped.split("\n")
    assert wrapped == wrap(SECRET, "Be brief.")
    assert middle == ["Be brief."]
    assert [first, last] == [mark(SECRET, edge, "Be brief.") for edge in Edge]


def test_tag_depends_on_secret_prompt_and_edge() -> None:
    tags = {
        mark(secret, edge, system).rpartition(":")[2]
        for secret in (SECRET, b"other")
        for edge in Edge
        for system in ("Be brief.", "Be brief. ")
    }
    assert len(tags) == 8


@given(st.binary(min_size=1), st.sampled_from(Edge), st.text())
def test_every_mark_is_found_whole(secret: bytes, edge: Edge, system: str) -> None:
    made = mark(secret, edge, system)
    assert len(made) <= LONGEST_MARK
    assert MARK.search(f"a{made}b") == (1, 1 + len(made))


def test_lone_surrogates_in_a_prompt_are_no_error() -> None:
    assert wrap(SECRET, "\ud800").count("\ud800") == 1


def test_context_shows_neither_secret_nor_texts() -> None:
    context = GuardContext(boundary_secret=SECRET, system="hidden", model="large")
    assert repr(context) == "GuardContext(model='large')"
