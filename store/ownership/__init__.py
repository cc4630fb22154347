"""Ownership: which processes are alive, so that their turns are left alone.

- `ownership`: the interface, `Ownership`
- `file_locks`: its implementation: each process locks its own file next to the database

Imports `store.records` only. What happens to turns of dead owners is decided in
`actors.finalisation.recovery`.
"""
