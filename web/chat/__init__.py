"""Requests of Chat Completions, and the calls that they are."""
