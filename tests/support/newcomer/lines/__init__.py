"""Wire format `lines`: a text is sent, and comes back as lines that begin with `+`.

`.` is the end, and `!` begins an error.
"""

from msgspec import Struct

from actors.providers.formats.base import Format, FormatSpec, Translation
from actors.providers.formats.decoding import LineStream
from actors.turn.chunks import Chunk, TextChunk
from actors.turn.messages import text_of
from actors.turn.model_call import FailureKind, ModelCall
from actors.turn.outcome import Reason


def translate(call: ModelCall) -> Translation:
    """Return the request for a call: its last text, and the paths of everything else."""
    left_out = [f"messages[{n}]" for n in range(len(call.messages) - 1)]
    return Translation({"text": text_of(call.messages[-1])}, (*left_out, *call.parameters))


class LinesDecoder(LineStream[Struct]):
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


LINES = Format(
    path=lambda model: "/ask",
    translate=translate,
    stream_decoder=LinesDecoder,
    whole_decoder=LinesDecoder,
    stream_type="text/x-lines",
    key_header=("x-key", ""),
)

FORMAT = FormatSpec("lines", LINES)
