"""Token estimation for turns whose provider reports no usage, without I/O.

- `estimator`: entry point; estimates and learns, for all upstream models
- `token_fit`: tokens from the features of a text
- `delta_fit`: tokens from the number of deltas
- `script_features`, `common_han`: features of a text, by script
- `prompt_text`: text of a call that counts as input
"""
