"""OpenAI's Chat Completions.

- `routes`: the endpoint
- `request`: validates the body with its messages and turns it into a model call
- `tools`: validates tools and tool choice

Imports `actors.turn`, `web.http`, `web.turns`, `web.service` and `web.surfaces.content_parts`.
Answers are rendered by `web.dialects.openai_chat`.
"""
