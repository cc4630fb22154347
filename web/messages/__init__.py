"""Requests of Anthropic's Messages, and the calls that they are."""
