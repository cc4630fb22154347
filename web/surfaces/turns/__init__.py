"""Turns as a resource, in any dialect.

- `routes`: endpoints that list, show, replay and cancel turns

Imports `actors.turn`, `store.records`, `web.http`, `web.turns`, `web.dialects` and `web.service`.
Their JSON is in `web.turns.turn_json`.
"""
