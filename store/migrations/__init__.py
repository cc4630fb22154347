"""Schema migrations: append-only, numbered revisions, run by Alembic."""

KNOWN = ("0001", "0002")
"""All revisions, oldest first.

Listed here so that a start without migrations does not import Alembic; a test compares the list
with the scripts.
"""

HEAD = KNOWN[-1]
