"""Storage of turns: an SQL database, with a file as fallback.

`store` opens everything and composes the repositories: one for each family of rows, in a folder
of its own (`turns` is the first). Callers use the repository that they need.

- `database`: connections, tables, transactions and the group-commit writer
- `turns`: the repository of turns
- `conversations`: the repository of conversations and of the items that clients add to them
- `records`: the plain structs that `actors`, `web` and `store` exchange
- `spool`: a file that takes final records while the database cannot
- `ownership`: which process owns a turn, and whether it is alive
- `migrations`: the schema's revisions

Imports neither `actors` nor `web`. Decisions about a turn belong in `actors.finalisation`.
"""
