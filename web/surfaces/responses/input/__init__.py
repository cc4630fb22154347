"""Validation of a Responses request's contents.

- `items`: the items of `input`
- `conversation_history`: a history that the client sends itself
- `tools`: tools and tool choice, and their form in Chat Completions
- `output_options`: text format
- `compaction_summary`: summaries in compaction items

Imports `actors.turn`, `web.http` and `web.surfaces.content_parts`; nothing here reads the store.
The body as a whole is validated in `responses.request`.
"""
