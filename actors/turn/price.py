"""Token prices and costs in integer micro-dollars."""

from msgspec import Struct

from actors.turn.outcome import Usage

_MILLION = 1_000_000
MAX_MICROS = 2**63 - 1
"""Largest integer that the database can hold; costs are capped to it."""


class Price(Struct, frozen=True, kw_only=True):
    """Prices in micro-dollars per million tokens; cached input defaults to the input price."""

    input: int = 0
    output: int = 0
    cached_input: int | None = None


def cost_micros(usage: Usage, price: Price) -> int:
    """Return the cost of a turn in micro-dollars, rounded half up once at the end."""
    cached = min(usage.cached_input_tokens, usage.input_tokens)
    cached_price = price.input if price.cached_input is None else price.cached_input
    total = (
        (usage.input_tokens - cached) * price.input
        + cached * cached_price
        + usage.output_tokens * price.output
    )
    return min((total + _MILLION // 2) // _MILLION, MAX_MICROS)
