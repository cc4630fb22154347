"""Adapters of hypercorn's protocols.

- `base`: their context, and the stream between a request and the app
- `http1`, `http2`, `websocket`: one protocol each
- `frame_limits`: limits on the sizes and numbers of received frames
- `websocket_timers`: times of pings, and of a message that is being received
- `strict_http`: refuses requests that the libraries accept but the RFCs do not

Imports `web.server` and hypercorn. Sockets and deadlines belong in `web.server.connection`.
"""
