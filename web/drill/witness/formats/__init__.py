"""Server side of the wire formats that the simulated provider speaks, without I/O.

- `base`: the interface of a format
- `openai_chat`, `openai_responses`, `anthropic`: a surface's reader and a dialect each
- `dialect_renderer`: renders a script with a dialect
- `anthropic_rules`: rules that only Anthropic's API enforces
- `gemini`, `ollama`: APIs without a surface; `foreign_call` turns their calls into chats
- `embeddings`: embeddings, which are never streamed

Imports `actors.turn`, `actors.accumulator`, `actors.providers.simulated`, `web.surfaces`,
`web.dialects` and `web.http`. Of `actors.providers.formats` only `embeddings` uses a type, so that
the decoders are tested against other code than their own. Faults below the format belong in
`web.drill.witness.answers`.
"""
