"""Decides which requests are answered at all, before any of them is dispatched.

- `origins`: pure rules for the headers that browsers send
- `hook`: applies them to every request and WebSocket of the Quart app

Imports `actors.turn` and `web.http`. The settings that it enforces are in `web.config`.
"""
