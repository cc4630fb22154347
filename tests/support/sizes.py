"""Test sizes: shortened and seeded by default, full with `TROUPER_LIVE_FULL=1` (`make soak`)."""

import os

FULL = os.environ.get("TROUPER_LIVE_FULL") == "1"
"""Run with the counts and durations of the documented claims, not the shorter defaults."""
SHORT_EXAMPLES = 25
"""Examples of a property test by default; the full count is Hypothesis's own, 100."""


def examples(full: int) -> int:
    """Return the number of examples for a property test that has `full` of them under soak."""
    return full if FULL else max(full // 4, 10)
