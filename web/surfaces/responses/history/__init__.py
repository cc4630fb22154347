"""The history of a response, from the store to the messages that a model gets.

- `history`: loads it in a constant number of queries, and builds it from the responses before
- `references`: items that a request refers to by id
- `socket_cache`: unstored responses of a WebSocket
- `conversation`: joins request and history
- `message_groups`: converts items to messages, in groups
- `message_content`: converts their content
- `native_request`: the request of a route that speaks Responses
- `model_context`: the messages for the model, and warnings; drops the oldest groups

Imports `actors`, `store.records`, `web.http`, `web.turns`, `web.service`, the item ids of
`web.dialects.openai_responses`, and `request` and `input_items` of
`surfaces.responses`. Validation of items belongs in `responses.input`; the SQL is in
`store.turns.history`.
"""
