"""Server side of OpenAI's Chat Completions: the surface's reader and the dialect."""

from msgspec.structs import replace

from actors.turn.model_call import JSON
from web.dialects.openai_chat.completion import DIALECT
from web.drill.witness.formats.base import IncomingCall, WireFormat
from web.drill.witness.formats.dialect_renderer import DialectRenderer
from web.surfaces.chat_completions.request import read_chat_request


class ChatRenderer(DialectRenderer):
    """A renderer of one chat completion."""

    dialect = DIALECT
    last = b"data: [DONE]\n\n"

    def malformed(self) -> bytes:
        return b'data: {"id":"chatcmpl-simulated","choices":[}\n\n'

    def half_frame(self) -> bytes:
        return b'data: {"id":"chatcmpl-simulated","object":"chat.completion.chunk","cr'


def _parse(document: dict[str, JSON], path: str) -> IncomingCall:
    request = read_chat_request(document)
    return IncomingCall(
        call=replace(request.call, upstream_model=request.model),
        stream=request.stream,
        include_usage=request.dialect_options["include_usage"] is True,
        user=request.call.parameters.get("user"),
        metadata=request.call.parameters.get("metadata"),
    )


WIRE = WireFormat("/v1/chat/completions", _parse, ChatRenderer)
