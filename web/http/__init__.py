"""Quart glue: connections, bodies, JSON and errors of client requests.

- `quart_app`: the application class
- `connection`, `websocket`: one HTTP request, one WebSocket
- `message_queue`: received WebSocket messages
- `body`, `content_coding`, `json_body`: reads, decompresses and decodes request bodies
- `responses`: JSON and error responses
- `api_error`, `validation_errors`: the exception for client errors, and pydantic's errors as one
- `error_format`: errors in the format of the requested surface

Imports `actors.turn`, `actors.runtime`, `actors.journal.reader_pace`, `web.server`,
`web.observability.access_log` and the errors of `web.dialects`. Anything that starts or reads a
turn belongs in `web.turns`; sockets belong in `web.server`.
"""
