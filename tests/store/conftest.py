"""A store in a file of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store.settings import StoreSettings
from store.store import Store, open_store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the test's database is."""
    return tmp_path / "trouper.db"


@pytest.fixture
def settings(database: Path) -> StoreSettings:
    """Settings that do not keep a test waiting for a lock."""
    return StoreSettings(
        url=f"sqlite:///{database}", busy_timeout_ms=100, start_wait_s=0.2, spool_bytes=1 << 20
    )


@pytest.fixture
async def store(settings: StoreSettings) -> AsyncIterator[Store]:
    """An open store."""
    async with open_store(settings) as store:
        yield store
