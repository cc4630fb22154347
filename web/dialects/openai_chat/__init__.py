"""Dialect of OpenAI's Chat Completions.

- `stream`: renders the stream of chunks
- `completion`: the object of a non-streaming answer

Imports `actors` and `web.dialects`. Requests are validated in `web.surfaces.chat_completions`.
"""
