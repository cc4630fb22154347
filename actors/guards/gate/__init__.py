"""The gate between a model's answer and its readers.

- `gate`: decides what passes: the beginning, the end, and what ends a call
- `flow`: the drafts in their order, of which some wait
- `channel`: holds text and replaces its spans
- `scanner`: finds spans in text that arrives in pieces
- `chain`: all guards of a turn, applied to a whole text

Imports `actors.guards.spec`, `units` and `prose`, and the vocabulary in `turn`.
"""
