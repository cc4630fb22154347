"""The database: connections, schema and transactions, whatever the rows mean.

- `database`: what repositories share: the writer, the readers, and their base class
- `engine`: opens the database with its backend, and migrates its schema
- `backend`: interface of database-specific operations; `sqlite` implements it
- `tables`: the current schema
- `group_commit`: one thread that commits all queued requests in one transaction
- `transactions`: runs transactions and replaces a lost connection
- `prepared_statements`: compiled statements that the driver executes directly
- `settings`: settings of the store

Imports `store.records` and `store.migrations`. Queries belong in `store.turns`.
"""
