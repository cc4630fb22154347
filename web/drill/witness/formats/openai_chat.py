"""Server side of OpenAI's Chat Completions: the surface's reader and the dialect."""

from msgspec.structs import replace

from actors.turn.outcome import ErrorInfo
from web.dialects.openai_chat.completion import DIALECT
from web.dialects.turn_errors import error_body
from web.drill.witness.formats.base import IncomingCall, Renderer, encode
from web.drill.witness.formats.dialect_renderer import DialectRenderer
from web.http.json_body import json_object
from web.surfaces.chat_completions.request import read_chat_request


class ChatRenderer(DialectRenderer):
    """A renderer of one chat completion."""

    dialect = DIALECT
    last = b"data: [DONE]\n\n"

    def malformed(self) -> bytes:
        return b'data: {"id":"chatcmpl-simulated","choices":[}\n\n'

    def half_frame(self) -> bytes:
        return b'data: {"id":"chatcmpl-simulated","object":"chat.completion.chunk","cr'


class OpenAIChat:
    """Wire format `openai-chat`."""

    def matches(self, path: str) -> bool:
        return path == "/v1/chat/completions"

    def read(self, path: str, body: bytes) -> IncomingCall:
        request = read_chat_request(json_object(body))
        return IncomingCall(
            call=replace(request.call, upstream_model=request.model),
            stream=request.stream,
            include_usage=request.dialect_options["include_usage"] is True,
            user=request.call.parameters.get("user"),
            metadata=request.call.parameters.get("metadata"),
        )

    def renderer(self, incoming: IncomingCall, number: int, created: int) -> Renderer:
        return ChatRenderer(incoming, number, created)

    def error_body(self, rejection: ErrorInfo) -> bytes:
        return encode(error_body(rejection))
