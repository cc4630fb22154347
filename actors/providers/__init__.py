"""Providers: adapters that send a model call upstream and decode the answer.

- `http`: transport, connections and the provider that uses them
- `formats`: one package per wire format: request and decoder
- `simulated`: models without a network
- `responses_websocket`: the provider for OpenAI's Responses API over a WebSocket
- `embedding_provider`: embedding requests as a turn
- `silent_provider`: an empty answer to a call that is not sent
- `sse`, `error_body`, `redaction`: event streams, error bodies, and secrets in texts of providers

Imports `turn`, `ports`, `runtime` and `usage`. Choice of routes and keys belongs in `routing`;
providers are built from the configuration by `web.providers.factory`.
"""
