"""One witness for all; a server for each module that only asks it nicely."""

from collections.abc import Iterator

import pytest

from tests.live import harness


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
