"""Tests of a full disk, simulated by `RLIMIT_FSIZE` in a separate process."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from store.database.settings import StoreSettings
from store.store import open_store
from tests.support.store_records import CALLER

STREAMS = 20


def run_on_a_full_disk(database: Path, then: Literal["recovers", "ends"]) -> str:
    """Run `full_disk_process` on the database; return its output."""
    arguments = [str(database), str(STREAMS), then]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.full_disk_process", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


OUTPUT_ON_FULL_DISK = (
    "begin: StoreUnavailable\nfinalise: StoreUnavailable\n"
    f"spooled {STREAMS}, beyond that: SpoolFailed\n"
)


@pytest.mark.parametrize(
    ("then", "last_output"), [("ends", ""), ("recovers", f"replayed {STREAMS}, failing: False\n")]
)
async def test_every_end_is_spooled_and_replayed(
    settings: StoreSettings, database: Path, then: Literal["recovers", "ends"], last_output: str
) -> None:
    """The next start replays them, or the process itself once it has space again."""
    assert run_on_a_full_disk(database, then) == OUTPUT_ON_FULL_DISK + last_output
    left = sorted(path.suffix for path in database.parent.iterdir())
    assert left == ([".db"] if then == "recovers" else [".db", ".spool"])
    async with open_store(settings) as store:
        page = await store.turns.list_turns(CALLER, limit=100)
        assert {turn.status for turn in page.data} == {"completed"}
        assert len(page.data) == STREAMS
        assert {turn.text for turn in page.data} == {"x" * 1000}
        assert await store.spool.replay() == 0
    assert [path.name for path in database.parent.iterdir()] == [database.name]
