"""Removal of a remark from a sentence, of which as much stays as says something else. Pure."""

import re

from actors.guards.spec import Span
from actors.guards.wording.phrases import phrases

_FEWEST_WORDS = 3
"""Fewest words of a part of a sentence that can say something."""
_MARKER = re.compile(r"\s*(?:(?:[-*+]|#+|\d+[.)])\s+)?")
"""White space and the marker of a list item or a heading at the beginning of a sentence."""
_CONJUNCTION = (
    "but|however|although|though|yet|still|and|so|because|since|as|that said|nevertheless"
    "|aber|doch|jedoch|allerdings|obwohl|trotzdem|und|daher|denn|weil|da"
    "|mais|cependant|toutefois|néanmoins|et|donc|car|bien que"
    "|pero|sin embargo|no obstante|aunque|y|así que|porque"
)
_DASH = "[\u2013\u2014]"
_CONTRAST = "but|however|aber|mais|pero"
_JOINT = re.compile(
    rf"\s*(?:[,;(]|{_DASH})\s*(?:(?:{_CONJUNCTION})\b,?\s*)?|\s+(?:-|{_CONTRAST})\s+",
    re.IGNORECASE,
)
_LEADING = re.compile(
    rf"\s*(?:[,;)]|{_DASH})\s*(?:{_CONJUNCTION})\b,?\s+|\s+(?:-|{_CONTRAST})\s+|\s*(?:;|{_DASH})\s*",
    re.IGNORECASE,
)
"""A joint behind which a part can be a sentence of its own."""
_COMMA = re.compile(rf",\s+(?:(?:{_CONJUNCTION})\b,?\s+)?", re.IGNORECASE)
_SUBORDINATE = re.compile(
    r"(?:since|as|because|while|although|though|given|considering|being|even if|unless"
    r"|da|weil|obwohl|auch wenn|als|puisque|comme|bien que|étant|parce que|en tant"
    r"|como|ya que|aunque|dado|siendo|al)\b",
    re.IGNORECASE,
)
"""Beginnings of parts that are no statements, and end with a comma if they stand first."""
_GERMAN = re.compile(r"(?:da|weil|obwohl|auch wenn|als|stand|zum)\b", re.IGNORECASE)
_INVERTED = re.compile(
    r"(?!(?:wenn|dass|ob|falls|damit|wie|was)\b)(\w+) (ich|du|er|sie|es|wir|ihr|man)\b"
)
_BEHIND_ADJUNCT = re.compile(r"\s*,?\s*")
_ENDING = " \t\n\r.!?…)"
_IDLE = phrases(
    r"""
    sorry|apolog|unfortunately|note that|in mind|please|aware|remember
    (?:check\w*|consult\w*|verif\w*|refer(?:ring)? to|look(?:ing)? up|visit\w*)\b
    (?:unable|outdated|out of date|changed since)\b
    (?:i|it) (?:can't|cannot|can not|do not|don't|won't|am not|may not|might not|have no)\b
    (?:may|might|could) (?:have changed|be different|not be)\b
    leider|entschuldig|beacht|bitte|empfehle|prüf|überprüf|veraltet|kann ich (?:nicht|kein)
    ich (?:kann|habe|darf|weiß) (?:\w+ )?(?:nicht|kein)
    désolé|malheureusement|veuillez|notez|recommande|consulte|vérifi|je n'ai
    je ne (?:peux|suis|dispose)
    lo siento|lamento|lamentablemente|en cuenta|por favor|recomiendo|verifi[cq]
    no (?:puedo|tengo|dispongo)
    """
)
"""Apologies, advice and other remarks that are nothing without the remark that they belong to."""


def without_remark(sentence: str, begin: int, end: int) -> Span:
    """Return the span to remove from a sentence for a remark from `begin` to `end`.

    If a part before or behind the remark says something itself, it stays, else nothing does.
    """
    first = _matched_end(_MARKER, sentence)
    last = len(sentence.rstrip(_ENDING))
    left = max((one.start() for one in _JOINT.finditer(sentence, first, begin)), default=first)
    is_subordinate = _SUBORDINATE.match(sentence, first) is not None
    joint = (_COMMA if is_subordinate and left == first else _LEADING).search(sentence, end, last)
    right = last if joint is None else joint.end()
    keeps_left = not is_subordinate and _says(sentence[first:left])
    keeps_right = _says(sentence[right:last])
    if keeps_left and keeps_right and joint is not None:
        return Span(left, joint.start())
    if keeps_left:
        return Span(left, last)
    if keeps_right:
        return opening(sentence, first, right)
    return Span(0, len(sentence.rstrip()))


def without_adjunct(sentence: str, begin: int, end: int) -> Span:
    """Return the span to remove for an adverbial part from `begin` to `end`, with its commas."""
    first = _matched_end(_MARKER, sentence)
    before = sentence[first:begin].rstrip()
    behind = _BEHIND_ADJUNCT.match(sentence, end)
    after = end if behind is None else behind.end()
    if not before:
        return opening(sentence, first, after)
    left = first + len(before.rstrip(",( "))
    is_enclosed = left < first + len(before)
    closes = is_enclosed and sentence[end : end + 1] in (",", ")")
    return Span(left, end + closes)


def opening(sentence: str, begin: int, end: int) -> Span:
    """Return the span that removes the beginning of a sentence and writes the rest with a capital.

    If anything but the marker of a list item is before `begin`, the next letter stays as it is.
    In German, the verb that stands second in a sentence goes behind its pronoun.
    """
    is_first = begin <= _matched_end(_MARKER, sentence)
    inverted = _INVERTED.match(sentence, end) if _GERMAN.match(sentence, begin) else None
    if inverted is not None:
        verb, pronoun = inverted.groups()
        return Span(
            begin, inverted.end(), f"{pronoun.capitalize() if is_first else pronoun} {verb}"
        )
    if not is_first or not sentence[end : end + 1].islower():
        return Span(begin, end)
    return Span(begin, end + 1, sentence[end].upper())


def _matched_end(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.match(text)
    return 0 if found is None else found.end()


def _says(part: str) -> bool:
    return len(part.split()) >= _FEWEST_WORDS and _IDLE.search(part) is None
