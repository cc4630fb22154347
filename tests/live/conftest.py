"""Fixtures: one simulated provider for the session, and a default server for each module.

Tests that share a server stay in one xdist worker; all others are spread over the workers.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live import harness
from tests.support.live.resume_checks import LINGER_SETTINGS

LONGEST = (
    "test_failover",
    "test_rolling_restart",
    "test_websocket",
    "test_sigkill_recovery",
    "test_store_outages",
    "test_responses_websocket",
    "test_dead_peers",
    "test_slow_readers",
    "test_chat_resume",
    "test_messages_resume",
    "test_responses_resume",
    "test_how_to_responses",
    "test_http_edge",
    "test_shutdown",
    "test_tls",
)
"""Modules that take longest. They come first, so that the run does not end with one of them."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests by the module fixtures that they share, and put the longest modules first."""
    here = Path(__file__).parent
    live = [item for item in items if here in item.path.parents]
    for item in live:
        if isinstance(item, pytest.Function) and _shares_a_fixture(item):
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(here))))
    order = {name: at for at, name in enumerate(LONGEST)}
    live.sort(key=lambda item: order.get(item.path.stem, len(order)))
    items[:] = [item for item in items if here not in item.path.parents] + live


def _shares_a_fixture(item: pytest.Function) -> bool:
    """Return True if the test uses a fixture that lives as long as its module."""
    found = item._fixtureinfo.name2fixturedefs.values()
    return any(definition.scope == "module" for definitions in found for definition in definitions)


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
