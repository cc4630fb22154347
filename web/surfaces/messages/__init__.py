"""Anthropic Messages requests: validation and conversion to a Chat Completions call.

`request` validates the body, `turns` converts its messages, `content` their blocks, `tools` the
tools, and `thinking` the reasoning effort and the output format.
"""
