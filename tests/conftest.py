"""Settings for all tests: sizes, Hypothesis profiles, garbage collection, and the skip summary."""

import gc
import os
from collections import Counter

import pytest
from hypothesis import settings

from tests.support.sizes import FULL, SHORT_EXAMPLES

# The duration of an example depends on the load of the machine, so a deadline would be flaky.
# Short runs are seeded: a failure of `make test` can be repeated. New examples are for `make soak`.
settings.register_profile("full", deadline=None)
settings.register_profile(
    "short", deadline=None, max_examples=SHORT_EXAMPLES, derandomize=True, database=None
)
settings.load_profile("full" if FULL else "short")

# Tests start hundreds of processes. Without cached bytecode each would compile all modules again,
# which takes half of the CPU time of a start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Imports and collection create millions of objects that live to the end of the run. Collecting
# garbage among them again and again took 3 of 12 s of CPU time in every worker.
gc.disable()


def pytest_collection_finish() -> None:
    """Exempt everything that collection created from garbage collection."""
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line that names the reasons of skipped tests and their numbers."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
    )
    if reasons:
        listed = "; ".join(f"{reason} ({number})" for reason, number in reasons.items())
        terminalreporter.write_line(f"{sum(reasons.values())} tests skipped: {listed}")
