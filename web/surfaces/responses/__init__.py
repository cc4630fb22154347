"""OpenAI's Responses API: requests, stored history, WebSocket and the response resource.

- `request`, `items`, `history`, `text`, `tools`: validation of a request
- `state`, `chain`, `unstored`: the history before a request
- `conversation`, `units`, `window`, `shown`: history and input as messages for the model
- `prepare`, `turn`: the steps from a request to its turn
- `resource`, `view`, `listing`, `deletion`: the response after its creation
- `compact`, `summary`: compaction
- `ws`, `ws_events`: the WebSocket
"""
