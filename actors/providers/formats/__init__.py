"""Wire formats: requests and answers of provider APIs, without I/O.

- `anthropic`, `gemini`, `ollama`, `openai_chat`, `openai_responses`: one package per format
- `base`: the interface of a format
- `decoding`: base classes of the decoders
- `chat_call`, `vendor_extensions`: read the neutral call; remove what other APIs don't know
- `lenient_fields`, `surrogates`: tolerate wrong field types and split characters
- `embeddings`: embedding requests in OpenAI's shape

Imports `turn`, `runtime.offload` and the helpers of `actors.providers`. A format never imports
another one. Sockets belong in `providers.http`; formats for clients are in `web.dialects`.
"""
