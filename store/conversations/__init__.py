"""Repository of conversations: their metadata, and the items that clients add and delete.

- `repository`: the methods that other packages call, and the SQL

The turns of a conversation are in `store.turns`. Imports `store.database` and `store.records`.
"""
