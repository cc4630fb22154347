"""Wire format of OpenAI's Chat Completions.

- `decoder`: the format itself; reads streams and documents
- `request`: the body of a request, without the fields that the server refuses
- `tool_pictures`: media of tool results, which only user messages can have
- `frames`: the chunks that are read
- `opaque_fields`: collects states of reasoning, and citations
- `google_signatures`: signs calls from elsewhere for models that want it
- `tool_calls`: assigns pieces of an answer to tool calls

Imports `turn` and the helpers of `providers.formats`, no other format. Sockets belong in
`providers.http`.
"""
