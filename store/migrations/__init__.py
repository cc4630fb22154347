"""How the schema came to be: append-only, numbered revisions, run by Alembic."""

KNOWN = ("0001", "0002")
"""Every revision, oldest first. Kept here so that a start that has nothing to migrate needs not
import Alembic; a test compares it with the scripts."""

HEAD = KNOWN[-1]
