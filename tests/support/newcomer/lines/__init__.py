"""Wire format `lines`: a text is sent, and comes back as lines that begin with `+`.

`.` is the end, and `!` begins an error.
"""

from actors.providers.formats.base import Decoder, FormatSpec, RequestParts
from actors.providers.formats.decoding import LineStream
from actors.providers.redaction import Scrub
from actors.turn.chunks import Chunk, TextChunk
from actors.turn.messages import text_of
from actors.turn.model_call import FailureKind, ModelCall
from actors.turn.outcome import Reason


class Lines:
    """The API as an `actors.providers.formats.base.Format`."""

    stream_type = "text/x-lines"

    def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """Return the parts of a call that are left out: everything but the last text."""
        return (*(f"messages[{n}]" for n in range(len(call.messages) - 1)), *call.parameters)

    def build(self, call: ModelCall, api_key: str | None) -> RequestParts:
        """Return the request for a call."""
        headers = [("content-type", "text/plain")]
        if api_key is not None:
            headers.append(("x-key", api_key))
        text = text_of(call.messages[-1]).encode()
        return RequestParts("/ask", tuple(headers), text, self.unsupported(call))

    def stream_decoder(self, scrub: Scrub) -> Decoder:
        """Return a decoder for a stream."""
        return LinesDecoder(scrub)

    whole_decoder = stream_decoder


class LinesDecoder(LineStream):
    """Decoder for a stream of lines."""

    def _read(self, data: bytes, chunks: list[Chunk]) -> None:
        mark, text = data[:1], data[1:].decode()
        if mark == b"+":
            chunks.append(TextChunk(text))
        elif mark == b".":
            self._finish(Reason.STOP, chunks)
            self.saw_end_marker = True
        elif mark == b"!":
            raise self._fail(FailureKind.IN_STREAM_ERROR, self._scrub(text))
        else:
            chunks.append(self._skipped(data))


FORMAT = FormatSpec("lines", Lines)
