"""What a test cannot do without: skipped elsewhere, missed aloud under CI."""

import os

import pytest


def need(found: bool, what: str) -> None:
    """Go on if `found`; without it skip the test, but under `CI` fail it."""
    if found:
        return
    if os.environ.get("CI", "") not in ("", "0", "false"):
        pytest.fail(f"{what}; under CI this is not skipped")
    pytest.skip(what)
