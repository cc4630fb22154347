"""Chooses the decoder of an answer by the beginning of its body. Pure.

Servers and relays send streams as `text/plain`, as `application/json`, as `text/html` (the default
of some frameworks) or without a type, and documents as `text/event-stream`. An answer that was paid
for is read whatever its type says; a page is not an answer.
"""

import re
from collections.abc import Callable

from actors.providers.formats.base import Decoder, Format
from actors.providers.formats.decoding import is_whole
from actors.providers.redaction import Scrub

EVENTS = "text/event-stream"
LINES = "application/x-ndjson"
DOCUMENT = "application/json"
UNSPECIFIC = ("", "text/plain", "application/octet-stream")
"""Media types of servers that don't say what they send."""

_MAX_LINE = 1024 * 1024
"""Bytes without the end of a line from which on a body is a document and not lines."""

MakeDecoder = Callable[[Scrub], Decoder]

BLANK = b" \t\r\n\xef\xbb\xbf"
"""White space, and the bytes of a byte order mark."""
_FIELDS = (b"data", b"event", b"id", b"retry")
_EVENT = re.compile(rb"(?:data|event|id|retry)(?:[ \t]*:|\r|\n)|:")
"""The first line of a stream of server-sent events: a field or a comment."""


class NotAnAnswer(Exception):
    """Raised for a body that is neither a stream nor a document, such as a page."""


def choose_decoder(
    format: Format, media_type: str, beginning: bytes, *, ended: bool
) -> MakeDecoder | None:
    """Return the decoder for a body that begins so, or None if more of it is needed.

    `ended` is true if there is no more. Raises `NotAnAnswer`.
    """
    text = beginning.lstrip(BLANK)
    expected = {format.stream_type: format.stream_decoder, DOCUMENT: format.whole_decoder}
    if not text and not ended:
        return None
    if format.stream_type not in (EVENTS, LINES) and media_type in expected:
        return expected[media_type]
    if text[:1] in (b"{", b"["):
        return _json_decoder(format, text, ended=ended)
    if format.stream_type == EVENTS and _EVENT.match(text):
        return format.stream_decoder
    if text and not ended and any(field.startswith(text) for field in _FIELDS):
        return None
    if media_type in expected and not text.startswith(b"<"):
        return expected[media_type]
    raise NotAnAnswer


def _json_decoder(format: Format, text: bytes, *, ended: bool) -> MakeDecoder | None:
    if format.stream_type != LINES:
        return format.whole_decoder
    line, newline, _ = text.partition(b"\n")
    if not newline and not ended and len(line) < _MAX_LINE:
        return None
    return format.stream_decoder if is_whole(line.strip()) else format.whole_decoder
