"""Anthropic's Messages.

- `routes`: the endpoints
- `request`: validates the body and turns it into a Chat Completions call
- `conversation`, `content`: converts messages and their content blocks
- `tools`: converts tools and tool choice
- `thinking`: converts thinking and output format to parameters of a chat

Imports `actors.turn`, `web.http`, `web.turns`, `web.service` and `web.surfaces.chat_completions`,
which validates the result. Answers are rendered by `web.dialects.anthropic_messages`.
"""
