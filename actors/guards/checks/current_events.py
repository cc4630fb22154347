"""Removes disclaimers about the age of the model's knowledge and about live information."""

from actors.guards.prose import sentence_check
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span
from actors.guards.wording.phrases import lines, phrases
from actors.guards.wording.remarks import without_adjunct, without_remark
from actors.guards.wording.requests import wants_a_voice

_UPDATE = lines(
    r"""
    (?:last|latest|most recent) (?:knowledge |training |data )?(?:update|cut-?\s?off|training data|training)\b
    (?:knowledge|training|data) (?:data )?(?:update|cut-?\s?off)(?: date)?\b
    (?:knowledge|training) data\b
    """
)
_DATE = r"(?:,? \(?(?:in |from |on |im |vom |en |de )?(?:[\pL-]+ ){0,3}(?:\d\d?,? )?20\d\d\)?)?"
_ADJUNCT = phrases(
    r"""
    (?:as of|based on|according to|up to|until|at the time of|since|per) my <update><date>
    (?:as of|based on) the (?:last|latest) (?:information|data) (?:i have|available to me)<date>
    (?:nach )?stand meine[sr] (?:letzten|jüngsten) [\pL-]*(?:updates?|trainings?|aktualisierung)<date>
    zum zeitpunkt meine[sr] (?:letzten )?[\pL-]*(?:updates?|trainings?|aktualisierung)<date>
    (?:d'après|selon|jusqu'à|lors de|depuis) ma dernière (?:mise à jour|formation)<date>
    [àÀ] (?:la date de )?ma dernière (?:mise à jour|formation)<date>
    (?:hasta|según|desde|a la fecha de|en el momento de) mi última (?:actualización|formación)<date>
    """,
    update=_UPDATE,
    date=_DATE,
)
_KNOWLEDGE = r"""
my (?:(?:19|20)\d\d )?(?:knowledge|training|data|information)(?: base| data)?(?:'s)? cut-?\s?off
my (?:knowledge|training|information)(?: base| data)? (?:only|ends|ended|stops|stopped|extends|goes)
my (?:knowledge|training|information)(?: base| data)? was (?:last )?(?:updated|cut)
my (?:knowledge|training|information)(?: base| data)? does(?:n't| not) (?:extend|include|cover|go)
my (?:knowledge|training|information)(?: base| data)? is (?:only )?(?:current|up[- ]to[- ]date|limited to)
my (?:last|latest|most recent) (?:knowledge |training |data )?(?:update|cut-?off|training)\b[^,]* (?:was|is)\b
i was (?:(?:last|only) (?:trained|updated)|trained (?:on data|with data|until|up to))\b
i (?:only )?have (?:information|knowledge|data)(?: only)? (?:up to|until|through)\b
(?:anything|events|developments|changes|information)\b[^,]* (?:after|since|beyond|past) my (?:knowledge|training|last|cut-?\s?off)
i (?:have no|don't have|do not have) (?:any )?(?:knowledge|information|data)\b[^,]* (?:after|beyond|past) (?:\w+ )?(?:19|20)\d\d\b
my (?:information|knowledge|data) (?:may|might|could) (?:be|not be|no longer be) (?:outdated|out of date|current|up[- ]to[- ]date|accurate)\b
i (?:may|might) not (?:have|be aware of|know)(?: \w+){0,3} (?:latest|recent|current)\b
my (?:answers?|responses?|information) (?:may|might) not (?:reflect|include|be current|be up)
mein (?:wissen|wissensstand|kenntnisstand) (?:ist|endet|reicht|geht|stammt|beruht|umfasst|basiert)
meine (?:kenntnisse|trainingsdaten|wissensbasis|datenbasis) (?:ist|sind|ende|reich|gehen|stamm|umfass)
mein (?:wissen|wissensstand|kenntnisstand)\b[^,]*\b20\d\d\b
mein (?:wissen|training) (?:endete|reichte|stoppte)
mein (?:letztes|jüngstes) [\pL-]*(?:update|training) (?:war|ist|stammt|fand)
ich (?:bin|wurde) [^,]*20\d\d (?:trainiert|aktualisiert)
mes (?:connaissances|données|informations)(?: d'entraînement)? (?:s'arrêtent|ne |sont limitées|datent|remontent)
mes (?:connaissances|données|informations)(?: d'entraînement)? (?:s'étendent|vont jusqu)
ma (?:date (?:limite|de coupure)|base de connaissances|dernière mise à jour)\b[^,]* (?:est|s'arrête|dat|remont)
je ne connais pas (?:les |d')(?:événements|évènements|développements)\b.* après
j'ai été entraînée? (?:sur|avec)\b.*jusqu
mis? (?:conocimientos?|información|entrenamiento|datos de entrenamiento) (?:lleg|termin|est[áa]|se |sol|abarca|no )
mi (?:fecha de corte|última actualización|corte de conocimiento)\b[^,]* (?:es|fue|era)\b
no conozco (?:los )?(?:eventos|acontecimientos|hechos)\b.* (?:posteriores|después)
fui entrenad[oa]\b.*hasta
"""
_LIVE = r"""
<cannot>(?: [\w'-]+){0,7}? <now> (?:[\w-]+ ){0,2}<news>
<cannot>(?: have| get| provide| offer)?(?: \w+)? ?real-?time (?:internet )?(?:access|browsing|capabilit)
i (?:have no|lack the|don't have (?:the|a|any)) (?:means|way) (?:of|to) (?:checking|check|looking|look|seeing|see|knowing|know)\b.*\b(?:today's|current|latest|live|right now)\b
i(?:'m| am) (?:cut off|disconnected|isolated) from the (?:internet|web)\b
<cannot> (?:have (?:\w+ )?access to|access|browse|search|surf|connect to) (?:the )?(?:internet|web)\b
(?:ich (?:habe|besitze)|habe ich)(?: \w+)? kein(?:en|e)?\b.*(?:echtzeit|aktuelle|live-|internet)
(?:ich kann|kann ich)(?: leider| derzeit)?(?: nicht auf| keine)\b.*(?:echtzeit|aktuelle|live-)
(?:ich kann|kann ich)(?: leider| derzeit)? nicht (?:im|auf das|ins) internet
je n(?:'ai|e dispose|e possède)\b.*(?:temps réel|actuelles|récentes|internet|en direct)
je ne (?:peux|suis)\b.*(?:temps réel|internet|en direct|actualités)
no (?:tengo|dispongo de|cuento con) acceso\b.*(?:tiempo real|actual|internet|reciente|en vivo)
no puedo\b.*(?:tiempo real|internet|en vivo|noticias)
"""
_IGNORANCE = phrases(
    r"""
    i (?:don't|do not|cannot|can't|have no|am not|may not)\b.*(?:information|knowledge|data|details|know)\b
    i (?:cannot|can't) (?:confirm|say|tell)|i(?:'m| am) not (?:aware|sure)
    ich (?:habe|kenne|weiß)\b.*(?:kein|nicht)|je n(?:'ai|e connais|e sais)|no (?:tengo|conozco|sé)
    """
)
_PARTS = {
    "cannot": lines(
        r"""
        i(?:'m| am)(?: currently)? (?:unable|not able|not equipped) to\b
        i (?:currently |also |still |unfortunately )?(?:don't|do not|can't|cannot|can not|lack|have no)\b
        """
    ),
    "now": "(?:real-?time|live|up-to-date|up-to-the-minute|current|latest|most recent|recent)",
    "news": (
        "(?:information|data|news|events|updates?|prices?|weather|statistics|developments|results"
        r"|scores|conditions|internet|web)\b"
    ),
}
_DISCLAIMER = phrases(_KNOWLEDGE)
_DISCLAIMER_OR_DENIAL = phrases(_KNOWLEDGE + _LIVE, **_PARTS)
_ABOUT_THE_MODEL = phrases(
    r"""
    (?:cut-?\s?off|training|trained|real-?time|brows|internet|online|up[- ]to[- ]date|knowledge)
    (?:how (?:recent|current|old) (?:is|are) your|what can you|can you access|limitation)
    (?:wissensstand|dein wissen|ihr wissen|training|echtzeit|aktuell bist|was kannst du)
    (?:date de coupure|tes connaissances|vos connaissances|entraîn|temps réel|peux-tu)
    (?:fecha de corte|tus conocimientos|entrena|tiempo real|qué puedes)
    """
)
_WANTS_LIVE_VALUES = phrases(
    r"""
    (?:weather|forecast|temperature|(?:stock|share|gas|bitcoin) price|price of|exchange rate|score)
    (?:traffic|what time|what day|what date|today's date|flight status|departure|wetter|uhrzeit|kurs)
    (?:wie spät|météo|cours d|quelle heure|quel jour|qué hora|qué día|clima|precio d|cotización)
    """
)


def _make(context: GuardContext) -> Check | None:
    question = context.question
    if _ABOUT_THE_MODEL.search(question) or wants_a_voice(question):
        return None
    # Without a tool for it, the denial is the answer; behind a tool, it can report a failure.
    honest = context.tools_run or (not context.tools and _WANTS_LIVE_VALUES.search(question))
    disclaimer = _DISCLAIMER if honest else _DISCLAIMER_OR_DENIAL

    def find(sentence: str) -> list[Span]:
        remark, adjunct = disclaimer.search(sentence), _ADJUNCT.search(sentence)
        if remark is None and adjunct is not None:
            remark = _IGNORANCE.search(sentence)
        if remark is not None:
            begin = remark[0] if adjunct is None else min(remark[0], adjunct[0])
            return [without_remark(sentence, begin, remark[1])]
        return [] if adjunct is None else [without_adjunct(sentence, *adjunct)]

    return sentence_check(find)


GUARD = GuardSpec(
    name="current_events",
    does="Removes disclaimers about the age of the model's knowledge and about live information.",
    action=Action.REWRITE,
    streaming=True,
    make=_make,
)
