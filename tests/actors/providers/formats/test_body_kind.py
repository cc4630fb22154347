"""Tests that bodies are judged by their beginning, however it is cut."""

import pytest

from actors.providers.formats.anthropic.decoder import ANTHROPIC
from actors.providers.formats.base import Format
from actors.providers.formats.body_kind import NotAnAnswer, choose_decoder
from actors.providers.formats.gemini.decoder import GEMINI
from actors.providers.formats.ollama.decoder import OLLAMA
from actors.providers.formats.openai_chat.decoder import OPENAI_CHAT
from actors.providers.formats.openai_responses.decoder import OPENAI_RESPONSES
from tests.support.newcomer.lines import LINES

FORMATS = [OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC, GEMINI]
TYPES = ["", "text/plain", "text/html", "application/json", "text/event-stream", "application/xml"]
LINE = b'{"message":{"content":"a"}}'


def chosen(format: Format, media_type: str, body: bytes) -> str:
    """Return the kind of decoder for a body, after checking that it arrives with any cut."""
    kinds = {format.stream_decoder: "stream", format.whole_decoder: "document"}
    try:
        found = choose_decoder(format, media_type, body, ended=True)
    except NotAnAnswer:
        return "page"
    assert found is not None
    for cut in range(len(body)):
        early = choose_decoder(format, media_type, body[:cut], ended=False)
        assert early in (None, found)
    return kinds[found]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("media_type", TYPES)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"data: {}\n\n", "stream"),
        (b"event: x\ndata: {}\n\n", "stream"),
        (b"\xef\xbb\xbf: ping\n\n", "stream"),
        (b"\n\nid:1\n", "stream"),
        (b"retry: 5\n", "stream"),
        (b"  {\n}", "document"),
        (b"[{}]", "document"),
    ],
)
def test_kind_is_that_of_the_beginning(
    format: Format, media_type: str, body: bytes, kind: str
) -> None:
    assert chosen(format, media_type, body) == kind


@pytest.mark.parametrize("media_type", TYPES)
@pytest.mark.parametrize("body", [b"<html>", b" <!doctype html>", b"<?xml"])
def test_page_is_not_an_answer(media_type: str, body: bytes) -> None:
    assert chosen(OPENAI_CHAT, media_type, body) == "page"


@pytest.mark.parametrize(
    ("media_type", "kind"), [("application/json", "document"), ("text/event-stream", "stream")]
)
@pytest.mark.parametrize("body", [b"", b" \n", b"oops", b"database: no"])
def test_type_decides_if_the_beginning_says_nothing(
    media_type: str, kind: str, body: bytes
) -> None:
    assert chosen(OPENAI_CHAT, media_type, body) == kind
    assert chosen(OPENAI_CHAT, "text/plain", body) == "page"


@pytest.mark.parametrize(
    "media_type", ["application/x-ndjson", "application/json", "", "text/html"]
)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (LINE + b"\n" + LINE, "stream"),
        (LINE + b"\r\n", "stream"),
        (LINE, "stream"),
        (b"{\n" + LINE[1:], "document"),
    ],
)
def test_lines_differ_from_a_document(media_type: str, body: bytes, kind: str) -> None:
    assert chosen(OLLAMA, media_type, body) == kind


def test_other_formats_are_trusted() -> None:
    assert choose_decoder(LINES, "text/x-lines", b"+a", ended=False) is LINES.stream_decoder
    with pytest.raises(NotAnAnswer):
        choose_decoder(LINES, "text/plain", b"+a", ended=False)
