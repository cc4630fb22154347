"""Removes remarks of the model about being a machine, which no one asked for."""

import re

from actors.guards.prose import sentence_check
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span
from actors.guards.wording.phrases import lines, phrases
from actors.guards.wording.remarks import opening, without_adjunct, without_remark
from actors.guards.wording.requests import wants_a_voice

_MACHINE = lines(
    r"""
    (?:ai|artificial intelligence)(?: (?:language )?(?:model|assistant|system|program|tool|chat-?bot))?\b
    (?:large )?language model|llm\b|chat-?bot|virtual assistant|digital assistant
    (?:machine|computer program|program|piece of software|robot|bot)\b
    """
)
_PARTS = {
    "machine": _MACHINE,
    "made": r"(?: (?:developed|created|trained|made|built|designed) (?:by|to) [^,.;!?]*)?",
    "machine_de": lines(
        r"""
        (?:ki|künstliche intelligenz)(?:-(?:assistent(?:in)?|modell|system|sprachmodell))?\b
        (?:großes |ki-)?sprachmodell|chatbot|maschine|roboter|computerprogramm|virtueller assistent
        """
    ),
    "machine_fr": lines(
        r"""
        (?:ia|intelligence artificielle)\b|modèle (?:de langage|d'ia)|chatbot|machine|robot
        assistante? (?:ia|virtuele?|virtuelle?|d'ia)|programme informatique
        """
    ),
    "machine_es": lines(
        r"""
        (?:ia|inteligencia artificial)\b|modelo de (?:lenguaje|ia)|chatbot|máquina|robot\b
        asistente (?:virtual|de ia)|programa (?:informático|de ordenador)
        """
    ),
}
_ADJUNCT = phrases(
    r"""
    (?:speaking )?(?:as|being) (?:just |only |merely |simply )?an? (?:[\w-]+ )?<machine><made>,
    (?:since|because|given that|as|while|although|though|even though) i(?:'m| am) (?:just |only |merely |simply )?an? <machine><made>,
    being (?:only |just |merely )?(?:software|an? (?:ai|machine|program)|artificial)\b[^,.;!?]*,
    en tant qu(?:e |')(?:une? )?<machine_fr>[^,.;!?]*,
    étant (?:donné que je suis )?une? <machine_fr>[^,.;!?]*,
    (?:como|al ser|siendo) (?:una? )?<machine_es>[^,.;!?]*,
    """,
    **_PARTS,
)
_FIRST_PERSON = phrases(
    r"""
    i(?:'m|'d|'ve|'ll)?\b|my\b|me\b
    je\b|j'|mon\b|ma\b|mes\b
    (?:yo|mi|mis|me|no|puedo|tengo|carezco|soy|estoy|debo|creo|diría|recomiendo)\b
    """
)
_ADJUNCT_DE = phrases(
    r"((?:als (?:eine? )?<machine_de>|(?:da|weil) ich (?:nur |lediglich )?(?:eine? )?<machine_de> bin,) )(?:habe|bin|kann|besitze|verfüge|darf|muss|würde|empfehle) ich",
    **_PARTS,
)
"""A part, which is group 1, before a verb and its pronoun."""
_SELF = phrases(
    r"""
    i(?:'m| am)(?: just| only| merely| simply| still)* an? <machine><made>
    ich bin (?:ja |nur |lediglich |bloß |doch )*(?:eine? )?<machine_de>
    """,
    **_PARTS,
)
_BEHIND_SELF = re.compile(
    r"[.,;!:)]|\s*$|\s+(?:and|so|but|that|which|without|here|with no|not|rather|und|ohne)\b"
)
"""Beginnings of the rest of the sentence; others make it a statement such as `a machine fitter`."""
_NATURE = phrases(
    r"""
    (?:bots|machines|ais|programs|language models|ai (?:models|assistants)) like (?:me|myself)\b
    i(?:'m| am)(?: just| only)* (?:not (?:a )?(?:human|real person|sentient|conscious)\b)
    i (?:don't|do not|can't|cannot|lack|am not capable of|am unable to)\b.*\b(?:personal|subjective) (?:[\w-]+,? (?:or |and )?)?(?:feelings|emotions|opinions?|beliefs?|preferences?|experiences?)\b
    i (?:don't|do not|can't|cannot|lack)\b.*\b(?:feelings|emotions|opinions|preferences|consciousness|experiences|senses|taste)\b.*\b(?:like|as|way|sense)\b.*\b(?:humans?|people|person)\b
    i (?:don't|do not) have (?:feelings or emotions|emotions or feelings|feelings|emotions)\b
    i (?:don't|do not) (?:have|possess) (?:consciousness|sentience|self-awareness|a physical (?:body|form)|a body(?:[.,;!]|$| (?:or|and)))
    (?:ich habe|habe ich|ich besitze|besitze ich)(?: als <machine_de>)? keine?n? (?:persönlich|eigen|menschlich|echt|subjektiv)\w* (?:gefühl|meinung|emotion|vorlieb|erfahrung|überzeugung|präferenz)
    (?:ich habe|habe ich|ich besitze|besitze ich) keine (?:gefühle|emotionen|persönlichkeit)\b
    je (?:ne )?suis (?:qu'|juste |seulement |simplement )*(?:une? )<machine_fr>
    je n'ai (?:pas|aucune?)\b.*(?:sentiment|émotion|opinions? personnelle|conscience|préférence)
    (?:sol[oa] |solamente |simplemente )?soy (?:sol[oa] |solamente |simplemente )?(?:una? )<machine_es>
    no tengo (?:sentimientos|emociones|conciencia|(?:opiniones|preferencias|experiencias|creencias) (?:personales|propias))
    """,
    **_PARTS,
)
_DENIED_DE = phrases(
    r"\bich (?:leider )?keine?n? .*(?:gefühl|meinung|emotion|vorlieb|erfahrung|körper|bewusstsein)"
)
_ABOUT_THE_MODEL = phrases(
    r"""
    (?:are|r|is) (?:you|u|this)\b.*(?:\bai\b|bot|robot|human|machine|real|person|gpt|model|sentient|conscious)
    (?:what|who) (?:are|r|exactly are) (?:you|u)\b|what kind of|introduce yourself|about yourself
    (?:do|can|did|could) you (?:\w+ )?(?:have|feel|experience|dream|think|suffer|sleep|eat|love|get)\b
    (?:how (?:are|do) you (?:feel|doing)|your (?:feelings|nature|consciousness))
    (?:bist du|sind sie|was bist|wer bist|was sind|wer sind|hast du|haben sie|fühlst|kannst du fühlen)\b
    êtes-vous
    (?:es-tu|qui es|qui êtes|qu'es-tu|qu'êtes|as-tu|avez-vous|ressens)
    (?:eres|quién|qué eres|qué es usted|tienes|sientes|puedes sentir)\b
    """
)


def _make(context: GuardContext) -> Check | None:
    if _ABOUT_THE_MODEL.search(context.question) or wants_a_voice(context.question):
        return None
    return sentence_check(_find)


def _find(sentence: str) -> list[Span]:
    german = next(_ADJUNCT_DE.finditer(sentence, 1), None)
    if german is not None:
        denied = _DENIED_DE.search(sentence[german[1] :])
        if denied is None:
            return [opening(sentence, *german)]
        return [without_remark(sentence, german[0], german[1] + denied[1])]
    adjunct = _ADJUNCT.search(sentence)
    if adjunct is None:
        remark = _nature(sentence, 0)
        return [] if remark is None else [without_remark(sentence, *remark)]
    remark = _nature(sentence, adjunct[1])
    if remark is not None:
        return [without_remark(sentence, adjunct[0], remark[1])]
    if not _FIRST_PERSON.search(sentence[: adjunct[0]] + "," + sentence[adjunct[1] :]):
        return []  # a statement about machines
    # The comma behind it belongs to the sentence if the part is not at its beginning.
    return [without_adjunct(sentence, adjunct[0], adjunct[1] - 1)]


def _nature(sentence: str, begin: int) -> tuple[int, int] | None:
    """Return the position of the first statement about the model's nature behind `begin`."""
    rest = sentence[begin:]
    found = _SELF.search(rest)
    if found is None or _BEHIND_SELF.match(rest, found[1]) is None:
        found = _NATURE.search(rest)
    return None if found is None else (begin + found[0], begin + found[1])


GUARD = GuardSpec(
    name="personality",
    does="Removes remarks of the model about being a machine if the user did not ask.",
    action=Action.REWRITE,
    streaming=True,
    make=_make,
)
