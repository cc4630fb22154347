"""Fixtures: one simulated provider for the session, and a default server for each module.

Modules run in one xdist worker each, the longest first, so that their tests can share servers.
"""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.support.live import harness
from tests.support.live.prerequisites import missing
from tests.support.live.resume_checks import LINGER_SETTINGS

LONGEST = (
    "test_failover",
    "test_websocket",
    "test_rolling_restart",
    "test_sigkill_recovery",
    "test_store_outages",
    "test_chat_resume",
    "test_responses_websocket",
    "test_dead_peers",
    "test_slow_readers",
    "test_messages_resume",
    "test_responses_resume",
    "test_how_to_responses",
    "test_shutdown",
    "test_tls",
    "test_http_edge",
    "test_startup_errors",
)
"""Modules that take longest. They come first, so that the run does not end with one of them."""
SPREAD = {
    *("test_rolling_restart", "test_sigkill_recovery", "test_store_outages", "test_shutdown"),
    *("test_tls", "test_slow_readers", "test_responses_websocket", "test_dead_peers"),
    *("test_messages_resume", "test_responses_resume"),
}
"""Modules whose tests start their own servers, so that each can run in any xdist worker."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest modules first."""
    order = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


class ByModule(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Runs a module in one worker, because its tests share servers, unless it is in `SPREAD`."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return nodeid if Path(module).stem in SPREAD else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    """Replace xdist's scheduler; `--dist loadgroup` has the same purpose, but drops its groups."""
    return ByModule(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Restore the reason of a skip in an async test, which pytest-trio drops."""
    report = yield
    if isinstance(report.longrepr, tuple) and report.longrepr[2] == "Skipped" and missing:
        report.longrepr = (*report.longrepr[:2], f"Skipped: {missing[-1]}")
    return report


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
