"""The answer that a turn's events produce: text, tool calls and output items.

- `builder`: the one fold of events into the answer, including retry and replace
- `changes`: mutable items of an answer in progress, and the changes that happen to them
- `items`: finished items as plain records
- `codec`: encodes and decodes items, and detects long answers

Imports `turn` and `runtime`. The JSON of a client protocol belongs in `web.dialects`; text joined
across attempts belongs in `continuation`.
"""
