"""Repository of turns: the SQL for rows of turns and their content.

- `repository`: the methods that other packages call, and the only module that they import
- `writes`: turns in flight: their first rows and their segments
- `finalise`: terminal records: a compare-and-set, then the winner's rows
- `deletion`: deletes a turn's content, and old journals
- `reads`: turns, their journals and their items
- `history`: the chain of a turn's predecessors, and conversations

Each write is a `Work` with a name and a priority, declared beside its SQL. Writes run in the
writer's thread, reads in reader threads. Imports `store.database`, `store.records` and the
interface of `store.ownership`. Connections and tables belong in `store.database`.
"""
