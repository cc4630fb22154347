"""One witness for all; a server for each module that only asks it nicely."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import harness
from tests.live.resuming import LINGER


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Process]:
    """The witness: a simulated provider over HTTP, in another process."""
    with harness.witness(tmp_path_factory.mktemp("witness")) as process:
        yield process


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, upstream: harness.Process
) -> Iterator[harness.Server]:
    """The server with defaults, as far as clients can see."""
    directory = tmp_path_factory.mktemp("live")
    config = harness.write_config(directory, upstream.port, "grace_s = 0\ndrain_s = 1\n")
    with harness.serving(directory, config) as server:
        yield server


@pytest.fixture(scope="module")
def lingering(
    tmp_path_factory: pytest.TempPathFactory, upstream: harness.Process
) -> tuple[Path, Path]:
    """Directory and configuration of a server whose turns wait for their clients."""
    directory = tmp_path_factory.mktemp("linger")
    return directory, harness.write_config(directory, upstream.port, LINGER)
