"""The history of a response, from the store to the messages that a model gets.

- `stored_history`: loads it in a constant number of queries
- `socket_cache`: unstored responses of a WebSocket
- `history`: builds it from the responses before
- `conversation`: joins request and history
- `message_groups`: converts items to messages, in groups
- `truncation`: drops the oldest groups
- `model_context`: the messages for the model, and warnings

Imports `actors`, `store.records`, `web.http`, `web.turns`, `web.service`, the item ids of
`web.dialects.openai_responses`, and `request`, `input_items` and `deletion` of
`surfaces.responses`. Validation of items belongs in `responses.input`; the SQL is in
`store.turns.history`.
"""
