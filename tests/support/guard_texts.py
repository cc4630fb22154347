"""Texts on their way through a span check, as a gate that holds back would show them."""

from collections.abc import Iterable, Iterator

from actors.guards.spec import Span, SpanCheck


def shown_in_pieces(check: SpanCheck, text: str, cuts: Iterable[int]) -> Iterator[str]:
    """Yield all that is shown of a text after each of its pieces, the last of which ends it."""
    shown, begin = "", 0
    for cut in cuts:
        if size := check.settle(text[begin:cut]):
            piece = text[begin : begin + size]
            shown += replaced(piece, check.find(piece))
            begin += size
            yield shown
    yield shown + replaced(text[begin:], check.find(text[begin:]))


def replaced(text: str, spans: list[Span]) -> str:
    """Return the text with the replacements of its spans."""
    parts: list[str] = []
    begin = 0
    for span in spans:
        parts += [text[begin : span.begin], span.replacement]
        begin = span.end
    return "".join([*parts, text[begin:]])
