"""Estimates of token usage, without I/O.

- `estimator`: entry point for estimates; learns from reported usage, for all upstream models
- `token_fit`: tokens as a weighted sum, with weights learnt per model
- `text_features`: features of a text, by script
- `prompt_text`: text of a call that counts as input

Imports `turn`, `ports` and `runtime`. The usage of attempts is in `turn.step`, prices are in
`turn.outcome`; rate limits belong in `routing`.
"""
