"""Has the model answer again if it refuses to quote a few lines of a literary work."""

from actors.guards.prose import MASKED, sentences
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

_BEGINNING = 2_000
"""Characters in which an answer refuses."""
_SHORTEST_QUOTATION = 15
"""Characters of the shortest quotation that answers the request."""
_WANTS_PASSAGE = phrases(
    r"""
    (?:quote|recite|cite|give|share|show|tell|remind|provide|what|which|how|write|read|need|want)\b.*\b(?:(?:first|last|opening|closing|famous|final|short|two|three|four|few|some) (?:\w+ )?)?(?:lines?|verses?|stanzas?|passages?|sentences?|quatrain|couplet|haiku|sonnet|excerpt|paragraph|monologue|soliloquy|epigraph|quote|quotation|words of)\b
    (?:quote|recite)\b.*\b(?:poem|novel|play|book|shakespeare|bible|from)\b
    (?:zitier|nenn|gib|wie (?:lautet|lauten|beginnt)|sag|trag)\w*\b.*(?:zeile|vers|strophe|satz|passage|gedicht|zitat|anfang)
    (?:cite|récite|donne|quelle?s? (?:est|sont)|comment commence)\w*\b.*(?:vers|strophe|phrase|passage|poème|citation|extrait|incipit)
    (?:cita|recita|dame|dime|cuál|cuáles|cómo empieza)\b.*(?:verso|estrofa|frase|pasaje|poema|fragmento|cita|línea)
    """
)
_WANTS_ALL = phrases(
    r"""
    (?:entire|whole|full|complete|all of|all the|chapters?|songs?|lyrics|screenplay|script|article|pages?)\b
    (?:ganze[sn]?|vollständig\w*|kapitel|lied|liedtext|songtext|seiten?)\b
    (?:entière?|complète?|complet|intégral\w*|tout le|toute la|chapitre|chanson|paroles|pages?)\b
    (?:enter[oa]|complet[oa]|tod[oa] (?:el|la)|capítulo|canción|letra|páginas?)\b
    """
)
_REFUSES = phrases(
    r"""
    <cannot>\b.*\b(?:quote|reproduc\w*|provid\w*|shar\w*|recit\w*|giv\w*|cit\w*|cop\w*|display|output|verbatim)\b.*\b<reason>
    (?:due to|because of|for) (?:\w+ )?<reason>.*\b<cannot>
    <reason>.*\bso <cannot>\b.*\b(?:quote|reproduce|provide|share|recite|give)\b
    (?:ich kann|kann ich|ich darf|darf ich)\b.*\b(?:nicht|keine?n?)\b.*(?:zitier|wiedergeb|bereitstell|nenn|wörtlich)
    (?:urheberrecht|copyright).*(?:kann|darf) ich .*(?:nicht|kein)
    je ne (?:peux|suis)\b.*(?:citer|reproduire|fournir|donner|réciter|partager).*(?:droit|auteur|copyright|protég|mot à mot)
    (?:droit d'auteur|droits d'auteur|copyright).*je ne (?:peux|suis)
    no (?:puedo|me es posible|estoy autorizad[oa])\b.*(?:citar|reproducir|proporcionar|dar|recitar|compartir).*(?:autor|copyright|protegid|textual)
    (?:derechos de autor|copyright).*no puedo
    """,
    cannot=r"i(?:'m| am)? ?(?:sorry,? )?(?:but )?(?:i )?(?:can't|cannot|can not|not able to|unable to|won't be able to|won't|not allowed to|not permitted to)",
    reason=r"(?:copyright\w*|verbatim|protected|exact (?:text|words|wording)|word for word|rights holders?|intellectual property|direct(?:ly)? quot\w*|passages?|excerpts?|lines|text from|quotes? from|from (?:the |this )?(?:book|novel|poem|play|work))",
)
_RETRY = Retry(
    "Quote the short passage that was asked for, and name the work: a few lines may be quoted from"
    " any work, and old works may be quoted at length."
)


def _make(context: GuardContext) -> Check | None:
    question = context.question
    if not _WANTS_PASSAGE.search(question) or _WANTS_ALL.search(question):
        return None
    return TextCheck(check=_check)


def _check(text: str, scores: Scores) -> Verdict:
    beginning = text[:_BEGINNING]
    prose, _ = sentences(beginning)
    quotes = any(MASKED * _SHORTEST_QUOTATION in one.text for one in prose)
    if quotes or beginning.startswith(">") or "\n>" in beginning:
        return PASS
    refuses = any(_REFUSES.search(one.text) is not None for one in prose)
    return _RETRY if refuses else PASS


GUARD = GuardSpec(
    name="literary_quote",
    does="Has the model answer again if it refuses to quote a short passage of a literary work.",
    action=Action.RETRY,
    make=_make,
)
