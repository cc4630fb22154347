"""Spool: a file next to the database that takes final records while the database cannot.

- `spool`: appends records, and lists those of dead processes
- `framing`: frames that reveal records torn by a crash
- `replay`: the spool as actors use it; writes spooled records into the database

Imports `store.records`, `store.ownership` and `store.database`. The order of the fallbacks is in
`actors.finalisation.finaliser`.
"""
