"""Has the model answer again if it only says the question in its words."""

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

TOKENS = 0.88
PREFIX = 0.55
"""Shares of words of the answer, and of those at its beginning, that are the question's."""
LENGTH = 1.35
"""Length of the answer, as a multiple of the question's, from which it says more."""
_LEAST_LENGTH = 0.5
"""Length below which the answer has chosen from the question, which can be an answer to it."""
_FEWEST_WORDS = 6
_RETRY = Retry("Do not repeat the question: answer it, or ask for what you need to answer it.")


def _make(context: GuardContext) -> Check | None:
    question = context.question
    asked = words(question)
    if len(asked) < _FEWEST_WORDS or wants_the_same_text(question):
        return None

    def check(text: str, scores: Scores) -> Verdict:
        if not _LEAST_LENGTH * len(question) <= len(text) <= LENGTH * len(question):
            return PASS
        said = words(text)
        if len(said) < _FEWEST_WORDS:
            return PASS
        shares = overlap(said, asked)
        return _RETRY if shares.tokens >= TOKENS and shares.prefix >= PREFIX else PASS

    return TextCheck(check=check)


GUARD = GuardSpec(
    name="low_value",
    does="Has the model answer again if the answer only repeats the question.",
    action=Action.RETRY,
    make=_make,
)
