"""Removes lines about how the server works on an answer: routing decisions and orchestration."""

from actors.guards.prose import sentence_check
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span
from actors.guards.wording.phrases import lines, phrases
from actors.guards.wording.remarks import without_remark
from actors.guards.wording.requests import wants_a_voice

_LINE = phrases(
    r"""
    (?:routing|routed|dispatching|escalating|forwarding|handing off|switching|rerouting) <what>(?:to|via|through) <whom>
    (?:intent|task type|query type|classification|route|router|specialist|skill|complexity)\s*[=:]\s*.*\b<score>
    <score>.*\b(?:intent|classification|route|router|specialist|task type|skill)\s*[=:]
    (?:intent|query|task|request) (?:classified|detected|identified|recognized|recognised)(?: as|\s*[=:])
    (?:detected|classified|identified|inferred|predicted) (?:the )?(?:user )?intent\b
    (?:routing|model selection|orchestration|decomposition|delegation|dispatch) (?:decision|gate|verdict|step|trace|result)\s*[:=]
    (?:selected|chosen|primary|fallback)[ _](?:model|tool|agent|route|skill)\s*[=:]
    (?:route|routing)\s*[=:]\s*(?:specialist|fast|slow|inline|fallback|primary|default|agent|tool|direct|small|large)\b
    decision\s*[=:]\s*[a-z]+_[a-z_]+
    (?:intent|route|skill|task_type)=\w+
    (?:routing|dispatching|handing off) (?:\w+ )?(?:request|query|task|question)\s*(?:->|→|=>)
    using (?:the )?fallback model\b|escalation policy\s*[=:]
    confidence\s*=\s*[01]?\.\d
    (?:model selection|pipeline (?:stage|step)|execution plan id|guard verdict)\s*[=:]
    (?:threat[ _]score|reduced[ _]authority|react[ _]turns?|model[ _]shift|tool[ _]calls?[ _]made|turn[ _]id)\s*[=:]
    (?:task|query|request) decomposition\s*:
    (?:sub-?task|step) \d+ (?:->|→|=>|assigned to|routed to) (?:the )?(?:\w+[- ])?(?:agent|specialist|model|worker)
    \[?(?:router|orchestrator|dispatcher|planner|classifier|supervisor)\]\s*\S
    (?:router|orchestrator|dispatcher|intent classifier)\s*:\s
    (?:anfrage|aufgabe) (?:wird|wurde) (?:an|zu) (?:den |die |das )?[\pL-]*(?:agent|spezialist|modell)\w* (?:weitergeleitet|geroutet|übergeben)
    absicht (?:erkannt|klassifiziert)|erkannte absicht\s*:|konfidenz\s*[:=]\s*[01]?[.,]\d
    (?:routage|redirection) (?:vers|à) (?:le |l'|un )?(?:spécialiste|agent|modèle)|intention (?:détectée|identifiée)\s*:
    (?:enrutando|redirigiendo|derivando) (?:a|al|hacia) (?:el |la |un )?(?:especialista|agente|modelo)|intención (?:detectada|identificada)\s*:
    """,
    what=r"(?:(?:this|your|the|user)? ?(?:query|request|question|task|message|it) )?",
    whom=lines(
        r"""
        (?:the |a |an )?(?:[\w-]+ ){0,3}(?:specialist|sub-?agent|agent|expert|handler|pipeline)\b
        (?:the |a |an )?(?:fallback|primary|larger|smaller|cheaper|stronger|\w+-tier|\w+-capability) model\b
        (?:the |a )?(?:orchestrator|router|dispatcher)\b
        """
    ),
    score=r"confidence(?: score)?\s*[:=]?\s*\(?(?:[01]?\.\d|\d\d?\d? ?%|high|low|medium)",
)
_TALK = phrases(
    r"""
    (?:according to|based on|per|following|as required by) (?:my|the) (?:internal )?(?:routing|orchestration|dispatch|delegation|escalation) (?:logic|rules?|policy|policies|decision|layer|protocol|instructions)
    my (?:orchestrator|orchestration layer|dispatcher|routing layer|intent classifier|supervisor agent)\b
    the (?:orchestrator|orchestration layer|routing (?:layer|engine|logic|module|system)|meta-?router) (?:has |is |will )?(?:decided|assign|rout|select|chose|pick|sen)\w*\b.*\b(?:this|your|me)\b
    (?:my|our) (?:internal )?(?:routing|orchestration|guard|pipeline|inference pipeline|metascore|breaker)\b
    i(?:'ve| have|'m| am|'ll| will)? (?:been )?(?:routed|routing|route|escalated|escalating|switched|switching) (?:this|your|the|it|to)\b.* (?:specialist|fallback model|(?:larger|smaller|stronger) model|sub-?agent|pipeline|handler)\b
    (?:laut|gemäß) (?:meiner|der) (?:internen )?(?:routing|orchestrierung)\w*
    (?:mein|der) orchestrator hat\b|(?:mon|l') ?orchestrateur a\b|(?:mi|el) orquestador ha\b
    """
)
_TOPIC = phrases(
    r"""
    (?:intents?|confidence|classif\w*|rout(?:e|er|es|ing)|orchestrat\w*|dispatch\w*|pipeline|agents?)\b
    (?:specialist|sub-?agents?|model selection|fallback|decompos\w*|metadata|debug|log|logs|trace)\b
    (?:absicht|konfidenz|routing|orchestrier\w*|agenten?|intention|routage|orchestr\w*|intención)\b
    (?:enrut\w*|orquest\w*|agentes?|klassifi\w*)\b
    """
)


def _make(context: GuardContext) -> Check | None:
    if _TOPIC.search(context.question) or wants_a_voice(context.question):
        return None
    return sentence_check(_find)


def _find(sentence: str) -> list[Span]:
    if _LINE.search(sentence) is not None:
        return [Span(0, len(sentence.rstrip()))]
    talk = _TALK.search(sentence)
    return [] if talk is None else [without_remark(sentence, *talk)]


GUARD = GuardSpec(
    name="internal_jargon",
    does="Removes routing decisions and talk of orchestration if the user did not ask about them.",
    action=Action.REWRITE,
    streaming=True,
    make=_make,
)
