"""A full disk: files that may not grow, in a process of its own (`RLIMIT_FSIZE`)."""

import subprocess
import sys
from pathlib import Path

from store.settings import StoreSettings
from store.store import open_store
from tests.store.builders import TENANT

STREAMS = 20


def run_on_a_full_disk(database: Path) -> str:
    """Run `full_disk_process` there; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.full_disk_process", str(database), str(STREAMS)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_ends_are_spooled_and_replayed_by_the_next_start(
    settings: StoreSettings, database: Path
) -> None:
    assert run_on_a_full_disk(database) == (
        "begin: StoreUnavailable\nfinalise: StoreUnavailable\n"
        f"spooled {STREAMS}, beyond that: SpoolFailed\n"
    )
    async with open_store(settings) as store:
        page = await store.list_turns(TENANT, limit=100)
        assert {turn.status for turn in page.data} == {"completed"}
        assert len(page.data) == STREAMS
        assert {turn.text for turn in page.data} == {"x" * 1000}
        assert await store.orphans() == []
    assert [path.name for path in database.parent.iterdir()] == [database.name]
