"""Adapters of hypercorn's protocols.

- `base`: their context, and the stream between a request and the app
- `http1`, `http2`, `websocket`: one protocol each

Imports `web.server` and hypercorn. Sockets and deadlines belong in `web.server.connection`.
"""
