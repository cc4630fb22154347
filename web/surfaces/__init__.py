"""Surfaces: families of endpoints, one package each.

- `chat_completions`, `messages`, `responses`, `embeddings`: model APIs
- `conversations`: the conversations of responses
- `turns`, `models`, `routes`, `ops`: turns, model names, route states, and probes with metrics
- `validation`, `content_parts`, `media_parts`: read parameters, objects and parts of all bodies
- `requests`: receives a request, and answers one that needs nothing else

A surface has `routes` (the blueprint) and mostly `request` (body to model call). Imports `actors`,
`web.http`, `web.turns`, `web.dialects` and `web.service`; `validation`, `content_parts` and
`media_parts` only `actors` and `web.http`. Frames and answer objects belong in `web.dialects`.
"""
