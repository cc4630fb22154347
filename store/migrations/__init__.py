"""Schema migrations: append-only, numbered revisions, run by Alembic.

- `versions`: the revisions
- `env`: Alembic's entry point

Imports `store.database.tables` in `env` only, because a start without migrations must not load
Alembic. `store.database.engine` decides if they run.
"""

KNOWN = ("0001", "0002", "0003", "0004", "0005")
"""All revisions, oldest first.

Listed here so that a start without migrations does not import Alembic; a test compares the list
with the scripts.
"""

HEAD = KNOWN[-1]
