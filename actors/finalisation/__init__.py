"""Finalisation: decides the outcome of a turn and writes its final record once.

- `outcome_decision`: builds the `ended` event and the final record
- `finaliser`: stores the record, then closes the journal; has the retry queue of unsaved records
- `recovery`: finalises turns whose owner process died

Imports `turn`, `ports`, `answer`, `attempts`, `journal` and `usage`, and the persister, whose data
the record contains. The SQL is in `store.turns.finalise`, the spool in `store.spool`.
"""
