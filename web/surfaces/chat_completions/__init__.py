"""OpenAI's Chat Completions.

- `routes`: the endpoint
- `request`: validates the body with its messages and turns it into a model call

Imports `actors.turn`, `web.http`, `web.turns`, `web.service` and the modules of `web.surfaces`.
Answers are rendered by `web.dialects.openai_chat`.
"""
