"""HTTP client of the providers: an httpx transport on trio sockets.

- `provider`: provider that sends calls over HTTP in any wire format
- `embedder`: the same for embeddings
- `credentials`: the API key of each call
- `failures`: converts HTTP errors to `UpstreamFailure`s
- `transport`, `pool`: opens and reuses connections
- `connection`: sockets with or without TLS
- `heads`, `body`, `response`: HTTP/1.1 heads and bodies
- `websocket`: WebSocket client connections

Imports `turn`, `runtime` and the helpers of `actors.providers`. Contents of requests and answers
belong in `providers.formats`; breakers and limits in `routing`.
"""
