"""Server side of the wire formats that the simulated provider speaks, without I/O.

- `base`: the interface of a format
- `openai_chat`, `ollama`, `gemini`, `anthropic`, `openai_responses`, `embeddings`: the formats
- `anthropic_call`, `gemini_call`, `ollama_call`, `responses_input`: a request as a Chat call
- `anthropic_rules`, `anthropic_content`: validation, and blocks of a whole message
- `responses_renderer`, `responses_items`: events and items of a Responses answer

Imports `actors.turn` and `actors.providers.simulated`. Only `embeddings` imports more: it validates
with `web.surfaces.embeddings` and `web.http`, and uses `actors.providers.formats.embeddings`.
Faults below the format belong in `web.drill.witness.send_stream`.
"""
