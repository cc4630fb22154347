"""Chat Completions requests: validation and conversion to a model call.

`request` validates the body, `messages` its messages and `tools` its tools and tool choice.
"""
