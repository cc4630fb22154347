"""Repository of turns: the SQL for rows of turns and their content.

- `writes`: turns in flight: their first rows and their segments
- `finalise`: terminal records: a compare-and-set, then the winner's rows
- `deletion`: deletes a turn's content
- `reads`: turns, their journals and their items
- `history`: the chain of a turn's predecessors, and conversations

Imports `store.database` and `store.records`. Writes run in the writer's thread, reads in reader
threads. Connections and tables belong in `store.database`.
"""
