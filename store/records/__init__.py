"""Plain records that the store exchanges with the other packages.

- `turn_records`: the records of turns, and the store's errors
- `ids`: ids that sort by time
- `private_files`: creates files with mode 0600

Imports nothing of the project, so that all packages can use it. SQL belongs in `store.turns`.
"""
