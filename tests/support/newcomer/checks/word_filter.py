"""Word filter: a guard that replaces a word in the text of answers."""

import re

from actors.guards.spec import Action, GuardContext, GuardSpec, Span, SpanCheck
from actors.guards.units import WORD


def word_filter(word: str, other: str) -> SpanCheck:
    """Return a check that replaces `word` by `other`, also if it is split over pieces of text."""
    pattern = re.compile(rf"\b{re.escape(word)}\b")

    def find(text: str) -> list[Span]:
        return [Span(*match.span(), other) for match in pattern.finditer(text)]

    return SpanCheck(settle=WORD.settled, find=find)


def _make(context: GuardContext) -> SpanCheck:
    return word_filter("secret", "******")


GUARD = GuardSpec(
    name="word_filter", does="Replaces the word `secret`.", action=Action.REWRITE, make=_make
)
