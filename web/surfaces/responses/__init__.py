"""OpenAI's Responses: creation, compaction, the response resource and WebSockets.

- `routes`: the endpoints
- `request`: validates the body; `input` does so for its items, tools and format
- `create`: starts the turn of a request
- `history`: the messages before a request, and the messages that the model gets
- `resource`, `input_items`: a response after its creation
- `compact`: compaction
- `websocket`: WebSocket mode

Imports `actors`, `store.records`, `web.http`, `web.turns`, `web.service` and
`web.dialects`; `web.dialects.openai_responses` renders the answers.
"""
