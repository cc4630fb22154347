"""Budgets for received bytes in tests."""

from web.server.counters import Counters
from web.server.receive_budget import ReceiveBudget


def wide_budget() -> ReceiveBudget:
    """Return a budget that no test fills, with a clock that never advances."""
    return ReceiveBudget(1 << 40, lambda: 0.0, Counters())
