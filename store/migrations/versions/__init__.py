"""Revisions of the schema, run by Alembic in the order of their numbers.

Each file is one revision and imports nothing of the project, so that it never changes. A new one
is also listed in `store.migrations.KNOWN`. The current schema is in `store.database.tables`.
"""
