"""Leaks: finds what an answer must not give away.

- `flow`: gaps between words, at which text can be cut
- `credentials`: keys, tokens and passwords
- `private_keys`: private keys, which have many lines
- `identifiers`: personal data
- `prompt_copies`: words of the system prompt in a row
- `protocol`: tool calls and marks of chat templates
"""
