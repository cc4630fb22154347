"""The gate between a model's answer and its readers.

- `gate`: decides which drafts may pass, and when
- `channel`: holds text and replaces its spans
- `scanner`: finds spans in text that arrives in pieces
- `chain`: all guards of a turn, applied to a whole text

Imports `actors.guards.spec`, `units` and `prose`, and the vocabulary in `turn`.
"""
