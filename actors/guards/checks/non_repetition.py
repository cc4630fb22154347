"""Has the model answer again if it repeats its previous message."""

import math

from actors.guards.spec import (
    PASS,
    Action,
    Check,
    GuardContext,
    GuardSpec,
    Retry,
    Scores,
    TextCheck,
    Verdict,
)
from actors.guards.wording.overlap import overlap, words
from actors.guards.wording.requests import wants_the_same_text

SHORTEST = 80
"""Characters of the shortest text that is a repetition."""
TOKENS = 0.86
"""Share of words from which a text is a repetition."""
TOKENS_WITH_PREFIX = 0.72
PREFIX = 0.55
"""Shares of words, and of words at the beginning, that make a repetition together."""
_SLACK = 1.1
"""Part of the previous message that the beginning of an answer is compared with, in its words."""
_RETRY = Retry(
    "Do not repeat your previous message: say what is new, or answer the newest message of the"
    " user in other words."
)


def _make(context: GuardContext) -> Check | None:
    if len(context.previous) < SHORTEST or wants_the_same_text(context.question):
        return None
    previous, asked = words(context.previous), set(words(context.question))

    def check(text: str, scores: Scores) -> Verdict:
        if len(text) < SHORTEST:
            return PASS
        said = words(text)
        shown = previous[: math.ceil(len(said) * _SLACK)]
        if sum(map(len, said)) + len(said) < SHORTEST or _has_news(said, previous, asked):
            return PASS
        shares = overlap(said, shown)
        repeats = shares.tokens >= TOKENS or (
            shares.tokens >= TOKENS_WITH_PREFIX and shares.prefix >= PREFIX
        )
        return _RETRY if repeats else PASS

    return TextCheck(check=check)


def _has_news(said: list[str], previous: list[str], asked: set[str]) -> bool:
    """Return True if a new word is a number or the user's: so the answer has something to say.

    Messages such as `Added eggs. The list has 4 items.` differ in such words only.
    """
    new = set(said) - set(previous)
    return any(word.isdigit() or word in asked for word in new)


GUARD = GuardSpec(
    name="non_repetition",
    does="Has the model answer again if it repeats its previous message.",
    action=Action.RETRY,
    streaming=True,
    make=_make,
)
