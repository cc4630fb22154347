"""Fixtures: one simulated provider for the session, and a default server for each module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live import harness
from tests.support.live.resume_checks import LINGER_SETTINGS


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Process]:
    """Run the simulated provider in another process."""
    with harness.simulated_provider(tmp_path_factory.mktemp("witness")) as process:
        yield process


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, upstream: harness.Process
) -> Iterator[harness.Server]:
    """Run a server whose settings match the defaults in everything that clients can observe."""
    directory = tmp_path_factory.mktemp("live")
    config = harness.write_config(directory, upstream.port, "grace_s = 0\ndrain_s = 1\n")
    with harness.serving(directory, config) as server:
        yield server


@pytest.fixture(scope="module")
def lingering_config(
    tmp_path_factory: pytest.TempPathFactory, upstream: harness.Process
) -> tuple[Path, Path]:
    """Return directory and configuration of a server whose turns outlive their connections."""
    directory = tmp_path_factory.mktemp("linger")
    return directory, harness.write_config(directory, upstream.port, LINGER_SETTINGS)
