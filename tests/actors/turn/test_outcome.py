"""Tests of costs, which are integer micro-dollars, rounded once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.turn.outcome import Price, Usage, cost_micros


def usage(input: int, output: int = 0, cached: int = 0) -> Usage:
    return Usage(input_tokens=input, output_tokens=output, cached_input_tokens=cached)


@pytest.mark.parametrize(
    ("used", "price", "micros"),
    [
        (usage(0, 0), Price(input=9, output=9), 0),
        (usage(1_000_000), Price(input=1_250_000), 1_250_000),
        (usage(0, 1_000_000), Price(output=10_000_000), 10_000_000),
        (usage(1), Price(input=499_999), 0),
        (usage(1), Price(input=500_000), 1),
        (usage(3), Price(input=500_000), 2),
        (usage(1, 1), Price(input=250_000, output=250_000), 1),
        (usage(10, cached=4), Price(input=1_000_000), 10),
        (usage(10, cached=4), Price(input=1_000_000, cached_input=0), 6),
        (usage(10, cached=4), Price(input=1_000_000, cached_input=500_000), 8),
        (usage(10, cached=99), Price(input=1_000_000, cached_input=0), 0),
    ],
)
def test_cost_of_usage(used: Usage, price: Price, micros: int) -> None:
    assert cost_micros(used, price) == micros


tokens = st.integers(0, 10**9)
micros = st.integers(0, 10**9)


@given(tokens, tokens, micros, micros)
def test_rounding_error_is_at_most_half_a_micro_dollar(i: int, o: int, pi: int, po: int) -> None:
    exact_millionths = i * pi + o * po
    cost = cost_micros(usage(i, o), Price(input=pi, output=po))
    assert -500_000 < cost * 1_000_000 - exact_millionths <= 500_000


@given(tokens, tokens, micros, micros)
def test_cheaper_cached_input_never_increases_the_cost(
    i: int, cached: int, pi: int, pc: int
) -> None:
    price = Price(input=pi, cached_input=min(pi, pc))
    assert cost_micros(usage(i, cached=cached), price) <= cost_micros(usage(i), price)


def test_cost_is_capped_to_a_database_integer() -> None:
    usage = Usage(input_tokens=2**53, output_tokens=2**53)
    assert cost_micros(usage, Price(input=10**12, output=10**12)) == 2**63 - 1
