"""Tests of the cache of unstored responses: its limits and the order of removal."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.records.turn_records import ChainLink
from web.surfaces.responses.history.history import Echo, Options
from web.surfaces.responses.history.socket_cache import UnstoredResponses


def link(number: int, size: int = 0, instructions: str | None = None) -> ChainLink:
    return ChainLink(
        turn_id=f"turn_{number}",
        input_items="x" * size,
        dialect_options=msgspec.json.encode(Options(Echo(instructions))).decode(),
    )


def test_oldest_responses_are_removed_first() -> None:
    unstored = UnstoredResponses(3600)
    for number in range(5):
        unstored.keep(link(number, 1000))
    assert list(unstored.links) == ["turn_2", "turn_3", "turn_4"]


def test_number_of_responses_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.surfaces.responses.history.socket_cache.MAX_LINKS", 3)
    unstored = UnstoredResponses(1_000_000)
    for number in range(5):
        unstored.keep(link(number))
    assert list(unstored.links) == ["turn_2", "turn_3", "turn_4"]


def test_instructions_count_towards_the_size() -> None:
    unstored = UnstoredResponses(3600)
    for number in range(5):
        unstored.keep(link(number, instructions="x" * 1000))
    assert list(unstored.links) == ["turn_2", "turn_3", "turn_4"]


def test_response_larger_than_the_cache_is_not_kept() -> None:
    unstored = UnstoredResponses(1000)
    unstored.keep(link(1, 2000))
    assert not unstored.links
    unstored.keep(link(2, 100))
    assert list(unstored.links) == ["turn_2"]


@given(st.lists(st.integers(0, 3000), max_size=50))
def test_cache_never_exceeds_its_limit(sizes: list[int]) -> None:
    unstored = UnstoredResponses(5000)
    for number, size in enumerate(sizes):
        unstored.keep(link(number, size))
        kept = unstored.links.values()
        assert sum(len(each.input_items) for each in kept) <= 5000
        if size < 3000:
            assert list(unstored.links)[-1] == f"turn_{number}"
    numbers = [int(id.removeprefix("turn_")) for id in unstored.links]
    assert numbers == list(range(len(sizes) - len(numbers), len(sizes)))
