"""Wire format of Ollama's `/api/chat`.

- `decoder`: the format itself; reads JSON lines and documents
- `request`: the body of a request

Imports `turn` and the helpers of `providers.formats`, no other format. Sockets belong in
`providers.http`.
"""
