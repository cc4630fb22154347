"""Dialect of Anthropic's Messages API.

- `stream`: renders the event stream
- `blocks`: orders items as content blocks
- `opaque_fields`: signatures, citations and the API's own blocks
- `message`: the object of a non-streaming answer
- `errors`: errors in Anthropic's form

Imports `actors` and `web.dialects`. Requests are validated in `web.surfaces.messages`.
"""
