"""Wire formats: requests and answers of provider APIs, without I/O.

- `anthropic`, `gemini`, `ollama`, `openai_chat`, `openai_responses`: one package per format
- `base`: a format as a struct of its parts
- `body_kind`: chooses the decoder of a body
- `reader`, `decoding`: base classes of the decoders: the state of an answer, and its frames
- `conversion`, `parameters`: convert the messages and parameters of a call
- `preparation`, `tool_history`, `tool_names`: make the tools and calls of any request usable
- `answer_calls`: restores names of tools in answers
- `refusals`, `efforts`: fields, values and reasoning efforts that servers refuse
- `media`: kinds of media, and texts in their place
- `vendor_extensions`, `native_content`: remove what only the client's API, or another one, knows
- `custom_tools`: replaces custom tools by functions
- `lenient_fields`, `surrogates`: tolerate wrong field types and split characters
- `citations`: reads citations of answers
- `token_usage`: reads token counts in any spelling
- `finish_words`: meanings of finish words
- `embeddings`: embedding requests in OpenAI's shape

Imports `turn`, `runtime.json_pieces` and the helpers of `actors.providers`. A format never imports
another one. Sockets belong in `providers.http`; formats for clients are in `web.dialects`.
"""
