"""Wire format of Anthropic's Messages API.

- `decoder`: the format itself; reads streams and documents
- `block_end`: signatures, citations and blocks that only this API has
- `request`: the body of a request, with its parameters, thinking and models' limits
- `fields`: fields beyond those of Chat, and the betas that some need
- `tools`, `schema`: tools, and schemas of structured outputs
- `messages`: converts messages and their content parts

Imports `turn` and the helpers of `providers.formats`, no other format. Sockets belong in
`providers.http`.
"""
