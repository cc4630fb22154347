"""OpenAI's Conversations: their metadata, and the items that clients add, read and delete.

- `routes`: the endpoints
- `request`: validates the bodies

A response of a conversation is created in `web.surfaces.responses`, whose items and histories these
are. Imports `store.records`, `web.http`, `web.service` and the modules of `web.surfaces`.
"""
