"""Server side of OpenAI's Responses API: the surface's reader and the dialect."""

from collections.abc import Mapping

from msgspec.structs import replace

from actors.turn.model_call import JSON, ModelCall
from web.dialects.frames import DONE
from web.dialects.openai_responses.stream import DIALECT
from web.drill.witness.formats.base import FAILED, IncomingCall, WireFormat, encode
from web.drill.witness.formats.dialect_renderer import DialectRenderer
from web.surfaces.responses.history.conversation import chat_parameters, conversation_of
from web.surfaces.responses.history.history import Chain
from web.surfaces.responses.input.items import read_input
from web.surfaces.responses.request import read_responses_request


class ResponsesRenderer(DialectRenderer):
    """A renderer of one response; an error is an `error` event before `response.failed`."""

    dialect = DIALECT
    last = DONE

    def end(self) -> bytes:
        return b""  # OpenAI's own service doesn't send it

    def malformed(self) -> bytes:
        name = b"response.output_text.delta"
        return b'event: %b\ndata: {"type":"%b","item_id":[}\n\n' % (name, name)

    def half_frame(self) -> bytes:
        return b'event: response.output_text.delta\ndata: {"type":"response.output_tex'

    def error_frame(self, code: str | None) -> bytes:
        error = {"code": code, "message": FAILED, "param": None}
        response = self.dialect.whole([self._started, self._failed(code)], self._options, None)
        return (
            (self._render([]) if self._unsent else b"")
            + self._event("error", error)
            + self._event("response.failed", {"response": response})
        )

    def _event(self, name: str, fields: Mapping[str, object]) -> bytes:
        data = {"type": name, "sequence_number": self._stream.numbering.take(), **fields}
        return b"event: %b\ndata: %b\n\n" % (name.encode(), encode(data))


def _parse(document: dict[str, JSON], path: str) -> IncomingCall:
    request = read_responses_request(document)
    echo = request.echo | {"instructions": request.instructions}
    if request.instructions:
        told: JSON = [{"role": "system", "content": request.instructions}]
        request = replace(request, input=[*read_input(told), *request.input])
    conversation = conversation_of(request, Chain())
    return IncomingCall(
        call=ModelCall(
            upstream_model=request.model,
            messages=tuple(message for group in conversation.groups for message in group.messages),
            parameters=chat_parameters(request, conversation),
            client_tools=conversation.tools.client_tools,
        ),
        stream=request.stream,
        user=request.parameters.get("user"),
        metadata=echo.get("metadata") or None,
        options={"echo": echo},
    )


WIRE = WireFormat("/v1/responses", _parse, ResponsesRenderer)
