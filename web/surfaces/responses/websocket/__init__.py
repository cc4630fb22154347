"""Responses in WebSocket mode.

- `routes`: accepts the socket
- `connection`: runs many turns on one socket, one after the other
- `events`: parses client events and builds error events

Imports `actors`, `store.records`, `web.dialects`, `web.http`, `web.observability`, `web.turns`,
`web.service` and the rest of `surfaces.responses` but its `routes`. Frames of answers are rendered
by `web.dialects.openai_responses`.
"""
