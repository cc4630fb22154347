"""Wire format of Anthropic's Messages API.

- `decoder`: the format itself; reads streams and documents
- `block_end`: signatures, citations and blocks that only this API has
- `request`: the body of a request, with its parameters, tools, thinking and models' limits
- `messages`: converts messages and their content parts

Imports `turn` and the helpers of `providers.formats`, no other format. Sockets belong in
`providers.http`.
"""
