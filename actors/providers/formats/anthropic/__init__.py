"""Wire format of Anthropic's Messages API.

- `decoder`: the format itself; reads streams and documents
- `frames`: the events that are read
- `request`: the body of a request, from `messages`, `blocks`, `tools` and `parameters`
- `messages`, `blocks`: converts messages and their content parts
- `tools`, `parameters`: converts tools, and parameters with thinking and models' limits

Imports `turn`, `runtime.offload` and the helpers of
`providers.formats`, no other format. Sockets belong in `providers.http`.
"""
