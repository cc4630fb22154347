"""Prerequisites of tests: a missing one skips the test, but fails it under CI."""

import os

import pytest

missing: list[str] = []
"""The requirements for which tests were skipped so far in this process."""


def require(found: bool, requirement: str) -> None:
    """Skip the test unless `found`; fail it instead when the variable `CI` is set."""
    if found:
        return
    if os.environ.get("CI", "") not in ("", "0", "false"):
        pytest.fail(f"{requirement} (skipping is not allowed under CI)")
    missing.append(requirement)
    pytest.skip(requirement)
