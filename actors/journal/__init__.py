"""Journal: the numbered events of a turn and the readers of them.

- `journal`: appends events; subscriptions read them, each at its own position
- `checkpointer`: writes the journals of live turns to the store
- `heartbeat`: wakes readers of silent journals
- `reader_pace`: detects readers that lag too far behind and read too slowly

Imports `turn`, `ports` and `runtime`. The event types are in `turn.events`; frames for clients and
resume positions belong in `web`.
"""
