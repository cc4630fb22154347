"""The vocabulary of a turn, which all other packages share.

- `request`: a turn's call with its routes, timeouts and limits
- `messages`, `chat_messages`: typed messages of a conversation, and their Chat Completions form
- `model_call`: the request to a provider, its route, and how it can fail
- `chunks`: decoded pieces of a provider's stream
- `events`, `event_order`: events of the journal and their order
- `outcome`, `failure_class`: statuses, reasons, usage and cost; classes of upstream failures
- `state`: the live turn, and the lease that a client holds on it
- `step`: a model call of a turn
- `lifecycle_events`: facts about a turn as a whole, for the event bus
- `store_records`: the store's records, the only import of `store` in `actors`

Only `state` imports other subpackages of `actors`: `answer` and `journal`, whose objects a live
turn holds. `request` and `step` import the interfaces in `ports`. Rules that act on a turn belong
in the subpackage of their subject.
"""
