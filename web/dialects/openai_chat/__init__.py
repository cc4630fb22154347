"""Dialect of OpenAI's Chat Completions.

- `stream`: renders the stream of chunks
- `opaque_fields`: states of reasoning, citations and extra fields of calls
- `completion`: the object of a non-streaming answer

Imports `actors` and `web.dialects`. Requests are validated in `web.surfaces.chat_completions`.
"""
