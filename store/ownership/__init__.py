"""Ownership: which processes are alive, so that their turns are left alone.

- `file_locks`: each process locks its own file next to the database

Imports `store.records` only. What happens to turns of dead owners is decided in
`actors.finalisation.recovery`.
"""
