"""Fixtures: a store in a temporary file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store.database.settings import StoreSettings
from store.store import Store, open_store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return the path of the test's database."""
    return tmp_path / "trouper.db"


@pytest.fixture
def settings(database: Path) -> StoreSettings:
    """Return settings with short lock timeouts."""
    return StoreSettings(
        url=f"sqlite:///{database}", busy_timeout_ms=100, start_wait_s=0.2, spool_bytes=1 << 20
    )


@pytest.fixture
async def store(settings: StoreSettings) -> AsyncIterator[Store]:
    """Yield an open store."""
    async with open_store(settings) as store:
        yield store
