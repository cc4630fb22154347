"""Process run by `test_full_disk`: begins turns, limits the file size, and ends the turns."""

import resource
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio

from store.database.settings import StoreSettings
from store.records.turn_records import NewTurn, SpoolFailed, StoreUnavailable
from store.store import Store, open_store
from tests.support.store_records import a_turn, an_end


def limit_file_size(directory: Path) -> None:
    """Limit files to the size of the largest; only the preallocated spool then has room."""
    largest = max(path.stat().st_size for path in directory.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))


def remove_file_size_limit() -> None:
    """Make the disk writable again."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


async def fill(store: Store) -> None:
    """Write until the write-ahead log has reached the limit."""
    with suppress(StoreUnavailable):
        while True:
            await store.turns.begin(a_turn(store.ownership.id, tenant="tenant_filler"))


async def spool_all(store: Store, turns: list[NewTurn]) -> None:
    """Spool the final records of all turns, then one that is too large for the spool."""
    for turn in turns:
        await store.spool.append(an_end(turn, text="x" * 1000))
    try:
        await store.spool.append(an_end(turns[0], text="x" * 10_000_000))
    except SpoolFailed:
        print(f"spooled {store.figures.spooled_records}, beyond that: SpoolFailed")  # noqa: T201


async def recover(store: Store) -> None:
    """Remove the limit, replay the spool and begin another turn."""
    remove_file_size_limit()
    replayed = await store.spool.replay()
    failing = store.database.transactions.failure is not None
    print(f"replayed {replayed}, failing: {failing}")  # noqa: T201
    await store.turns.begin(a_turn(store.ownership.id, tenant="tenant_filler"))


async def main(database: str, streams: int, *, recovers: bool) -> None:
    """Print the exception of each call on a full disk, and the result of the recovery."""
    settings = StoreSettings(url=f"sqlite:///{database}", spool_bytes=1 << 18)
    async with open_store(settings) as store:
        turns = [a_turn(store.ownership.id) for _ in range(streams)]
        for turn in turns:
            await store.turns.begin(turn)
        limit_file_size(Path(database).parent)
        await fill(store)
        for name, action in (
            ("begin", lambda: store.turns.begin(a_turn(store.ownership.id))),
            ("finalise", lambda: store.turns.finalise(an_end(turns[0], text="x" * 1000))),
        ):
            try:
                await action()
            except StoreUnavailable:
                print(f"{name}: StoreUnavailable")  # noqa: T201
        await spool_all(store, turns)
        if recovers:
            await recover(store)


if __name__ == "__main__":
    trio.run(partial(main, sys.argv[1], int(sys.argv[2]), recovers=sys.argv[3] == "recovers"))
