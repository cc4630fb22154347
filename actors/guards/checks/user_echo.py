"""Removes the user's own words from the beginning of an answer.

Only whole sentences go, so that `The best way to learn X is ...` stays; an answer that has nothing
else is left to `low_value`.
"""

import re

from actors.guards.prose import MASKED, sentences
from actors.guards.spec import (
    PASS,
    Action,
    Check,
    GuardContext,
    GuardSpec,
    Rewrite,
    Scores,
    TextCheck,
    Verdict,
)
from actors.guards.wording.overlap import words
from actors.guards.wording.requests import wants_the_same_text

WORDS = 8
"""Number of words from which an echo is removed."""
_BEGINNING = 4_000
"""Characters in which an echo ends; the question of a user can be a book."""
_LEAD_IN = re.compile(
    r"\s*(?:(?:you|the user) (?:just )?(?:asked|said|wrote|want to know)"
    r"|your (?:question|request|message)(?: was| is)?|question|user|human|q"
    r"|(?:du|sie) (?:fragst|fragen|schreibst|schreiben)|(?:deine|ihre) frage|frage"
    r"|(?:vous|tu) (?:demandez|demandes)|votre question"
    r"|(?:usted pregunta|preguntas|tu pregunta|su pregunta|pregunta))\s*[:,]\s*",
    re.IGNORECASE,
)


def _make(context: GuardContext) -> Check | None:
    if wants_the_same_text(context.question):
        return None
    asked = {tuple(words(one.text)) for one in sentences(context.question[:_BEGINNING])[0]}
    if not any(len(sentence) >= WORDS for sentence in asked):
        return None

    def check(text: str, scores: Scores) -> Verdict:
        end, count = 0, 0
        for sentence in sentences(text[:_BEGINNING])[0]:
            lead_in = _LEAD_IN.match(sentence.text) if end == 0 else None
            said = sentence.text if lead_in is None else sentence.text[lead_in.end() :]
            spoken = tuple(words(said))
            # Marks at the beginning make it a heading or a quotation, which belong to the answer.
            is_plain = said[:1].isalnum() or said[:1] in "¿¡"
            if sentence.begin != end or not is_plain or MASKED in said or spoken not in asked:
                break
            end, count = sentence.begin + len(sentence.text), count + len(spoken)
        rest = text[end:].lstrip()
        return Rewrite(rest) if count >= WORDS and rest else PASS

    return TextCheck(check=check)


GUARD = GuardSpec(
    name="user_echo",
    does="Removes sentences of the user from the beginning of an answer.",
    action=Action.REWRITE,
    make=_make,
)
