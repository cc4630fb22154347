"""Wire format of Google's Gemini API.

- `decoder`: the format itself; reads streams and documents
- `request`: the body of a request
- `grounding`: reads the sources of an answer
- `contents`: converts messages to `contents`

Imports `turn` and the helpers of `providers.formats`, no other format. Sockets belong in
`providers.http`.
"""
