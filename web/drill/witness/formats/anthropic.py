"""Server side of Anthropic's Messages API: the surface's reader, the API's rules, the dialect."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from actors.providers.simulated.messages import count_input_tokens
from actors.turn.chunks import Chunk, ReasoningChunk
from actors.turn.model_call import JSON
from actors.turn.outcome import ErrorInfo, Reason, Usage
from web.dialects.anthropic_messages.errors import error_type
from web.dialects.anthropic_messages.message import DIALECT
from web.dialects.anthropic_messages.stream import PING
from web.drill.witness.formats.anthropic_rules import check
from web.drill.witness.formats.base import FAILED, Content, IncomingCall, WireFormat, encode
from web.drill.witness.formats.dialect_renderer import DialectRenderer
from web.surfaces.messages.request import read_messages_request

_SIGNATURE = "c2ltdWxhdGVkIHRoaW5raW5n"
"""Signature of all simulated thinking, distinguishable from a missing or a real one."""
_SIGNED = b"""event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"%b"}}

""" % _SIGNATURE.encode()
"""End of the thinking, which is always the first block of a simulated answer."""
_NO_USAGE = b',"usage":{"output_tokens":0}'
"""Usage that the dialect sends if it knows none."""

_BY_CODE = {
    "context_length_exceeded": "prompt is too long: 200001 tokens > 200000 maximum",
    "content_policy_violation": "Output blocked by content filtering policy",
}
"""Messages by error code: the API has no codes and expresses them in the message."""


class MessageRenderer(DialectRenderer):
    """A renderer of one message, with the signatures and pings that our own dialect lacks."""

    dialect = DIALECT
    last = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    _thinking = False
    _ping = PING

    def frame(self, chunk: Chunk) -> bytes:
        signed = _SIGNED if self._thinking and not isinstance(chunk, ReasoningChunk) else b""
        self._thinking = isinstance(chunk, ReasoningChunk)
        frames = signed + super().frame(chunk)
        if frames and self._ping:
            frames, self._ping = frames + self._ping, b""
        return frames

    def finish(self, reason: Reason, usage: Usage | None) -> bytes:
        frames = super().finish(reason, usage)
        return frames if usage else frames.replace(_NO_USAGE, b"")

    def malformed(self) -> bytes:
        return b'event: content_block_delta\ndata: {"type":"content_block_delta",}\n\n'

    def half_frame(self) -> bytes:
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","ind'

    def error_frame(self, code: str | None) -> bytes:
        """Return an error event; a code that is an error type of the API is its type."""
        kind = code if code and code.endswith("_error") else "api_error"
        return b"event: error\ndata: " + encode(_error(kind, FAILED)) + b"\n\n"

    def document(self, content: Sequence[Content], reason: Reason, usage: Usage | None) -> bytes:
        message = msgspec.json.decode(super().document(content, reason, usage))
        for block in message["content"]:
            if block["type"] == "thinking":
                block["signature"] = _SIGNATURE
        if usage is None:
            del message["usage"]
        return encode(message)


def _parse(document: dict[str, JSON], path: str) -> IncomingCall:
    request = read_messages_request(document)
    check(document)
    metadata = document.get("metadata")
    return IncomingCall(
        call=replace(request.call, upstream_model=request.model),
        stream=request.stream,
        user=metadata.get("user_id") if isinstance(metadata, dict) else None,
        metadata=metadata,
        input_tokens=count_input_tokens(request.call.messages),
    )


def _error_body(error: ErrorInfo) -> bytes:
    message = _BY_CODE.get(error.code or "", error.message)
    return encode(_error(error_type(error.status), message))


def _error(kind: str, message: str) -> dict[str, object]:
    error = {"type": kind, "message": message}
    return {"type": "error", "error": error, "request_id": "req_simulated"}


WIRE = WireFormat("/v1/messages", _parse, MessageRenderer, _error_body)
