"""Token usage of attempts, reported or estimated, without I/O.

- `usage_ledger`: output and tokens of every attempt, and the usage to charge
- `estimator`: entry point for estimates; learns from reported usage, for all upstream models
- `token_fit`: tokens as a weighted sum, with weights learnt per model
- `text_features`: features of a text, by script
- `prompt_text`: text of a call that counts as input

Imports `turn`, `ports` and `runtime`. Prices are in `turn.outcome`; rate limits belong in
`routing`.
"""
