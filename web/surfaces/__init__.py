"""Surfaces: families of endpoints, one package each.

- `chat_completions`, `messages`, `responses`, `embeddings`: model APIs
- `turns`, `models`, `routes`, `ops`: turns, model names, route states, and probes with metrics
- `content_parts`: normalises content parts for all model APIs

A surface has `routes` (the blueprint) and mostly `request` (body to model call). Imports `actors`,
`web.http`, `web.turns`, `web.dialects` and `web.service`; `content_parts` only `actors.turn` and
`web.http`. Frames and answer objects belong in `web.dialects`.
"""
