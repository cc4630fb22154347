"""Anthropic's Messages.

- `routes`: the endpoints
- `request`: validates the body and converts its parameters to those of a chat
- `conversation`, `blocks`: read messages and their content blocks

Imports `actors.turn`, `web.http`, `web.turns`, `web.service` and the modules of `web.surfaces`.
Answers are rendered by `web.dialects.anthropic_messages`.
"""
