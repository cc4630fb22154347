"""Dialect of OpenAI's Responses API.

- `stream`: renders the event stream
- `events`: events of items and parts
- `items`, `logprobs`: output items, and their logprobs
- `response`: the `response` object, in progress or ended

Imports `actors` and `web.dialects`. Requests and stored responses belong in
`web.surfaces.responses`.
"""
