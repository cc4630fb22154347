"""Wire format of OpenAI's Responses API, over HTTP or a WebSocket.

- `decoder`: the format itself; reads events and documents
- `answer_reader`, `emitted_texts`: the state of an answer, and the texts of it that were emitted
- `frames`: the events that are read
- `request`, `input_items`: the body of a request and its `input`

Imports `turn` and the helpers of `providers.formats`, no other format. Sockets belong in
`providers.http`.
"""
