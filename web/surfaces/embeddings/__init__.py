"""OpenAI's embeddings.

- `routes`: the endpoint
- `request`: validates the body

Imports `actors`, `web.http`, `web.turns`, `web.dialects.turn_errors`, `web.service` and
`web.surfaces.validation`. Requests to providers are built in `actors.providers.formats.embeddings`.
"""
