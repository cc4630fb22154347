"""Storage of turns: an SQL database, with a file as fallback.

`store` opens the parts and is the facade for `actors` and `web`.

- `database`: connections, tables, transactions and the group-commit writer
- `turns`: queries and writes of turns
- `records`: the plain structs that `actors`, `web` and `store` exchange
- `spool`: a file that takes final records while the database cannot
- `ownership`: finds out which processes are alive
- `migrations`: the schema's revisions

Imports neither `actors` nor `web`. Decisions about a turn belong in `actors.finalisation`.
"""
