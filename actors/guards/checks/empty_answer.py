"""Has the model answer again if the answer is empty or a placeholder.

The actor asks only for answers that consist of text: one that calls tools may be empty.
"""

import re

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
from actors.guards.wording.phrases import phrases

_LONGEST = 300
"""Characters of the longest placeholder with the sentence that introduces it."""
_FILLERS = "\\s\u200b-\u200f\u2060\ufeff.\u2026_*#~`|>\\-\u2013\u2014"
_NOTHING = re.compile(rf"[{_FILLERS}]*")
_PLACEHOLDER = re.compile(
    r"""
    (?:[^\n]{0,120}:\s+)?  # an introduction
    [\s"'`*_]*
    (?:
        [\[(<{]+ \s* (?:insert|your|add|put|enter|fill|write|place|type|provide|paste)\b [^\])>}\n]* [\])>}]+
      | [\[(<{]+ \s* (?:hier|ihr|ihre|dein|deine|bitte|insérez|insérer|votre|ajoutez|inserte|insertar|inserta|su|tu)\b
        [^\])>}\n]* [\])>}]+
      | [\[(<{]+ \s* (?:(?:text|answer|response|content|reply|message|output|result|empty|blank|no\ response|no\ answer)
        (?:\ (?:here|goes\ here|placeholder))?|antwort|réponse|respuesta|\.{3}|…) \s* [\])>}]+
      | [\[(<{]* \s* (?:placeholder|todo|tbd|tba|fixme|to\ be\ (?:done|determined|added|written)|platzhalter)
        (?:\s*:?\s+(?:text|response|answer|content|add|write|insert)[^\n]*)? \s* [\])>}]*
      | (?:(?:your|the)\ )?(?:answer|response|text|content|reply)\ (?:goes\ )?here
      | (?:answer|response|assistant|output|antwort|réponse|respuesta)\s*:
      | \[object\ object\]
    )
    [\s"'`*_.:!]*
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LOREM = re.compile(r"[\s\"'`*_#>]*lorem ipsum\b", re.IGNORECASE)
_TOPIC = phrases(
    r"""
    (?:placeholder|lorem|dummy|filler|blank|empty|template|to-?do|fixme|bracket|exactly|only|nothing)
    (?:blindtext|platzhalter|vorlage|leer|nur|genau|vide|modèle|gabarit|vacío|plantilla|word|label)
    """
)
_RETRY = Retry("Write the answer itself: the last one was empty or only a placeholder.")


def _make(context: GuardContext) -> Check | None:
    may_be_placeholder = _TOPIC.search(context.question) is not None

    def check(text: str, scores: Scores) -> Verdict:
        if _NOTHING.fullmatch(text):
            return _RETRY
        if may_be_placeholder:
            return PASS
        is_placeholder = len(text) <= _LONGEST and _PLACEHOLDER.fullmatch(text) is not None
        return _RETRY if is_placeholder or _LOREM.match(text) else PASS

    return TextCheck(check=check)


GUARD = GuardSpec(
    name="empty_answer",
    does="Has the model answer again if the answer is empty or a placeholder.",
    action=Action.RETRY,
    make=_make,
)
