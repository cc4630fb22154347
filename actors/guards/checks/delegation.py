"""Removes claims that work was given to another agent, unless a tool did so in this turn."""

from actors.guards.phrases import lines, phrases
from actors.guards.prose import sentence_check
from actors.guards.remarks import without_remark
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span
from actors.guards.tool_kinds import ToolKind, could, may

_ADVERBS = r"(?: just| now| already| also| successfully| currently| therefore| since| personally)*"
_GAP = r"[^.!?,;:]*?"
_FIELD = (
    "ai|research|coding|code|writing|search|browser|analysis|analytics|data|planning|planner"
    "|review|worker|helper|background|dedicated|parallel|autonomous|expert|testing|qa|specialist"
    r"|specialized|specialised|separate|internal|security|legal|finance|domain|\w+-"
)
_AGENT = lines(
    r"""
    sub-?\s?agents?\b
    \w+agents?\b
    (?:<field>)\s?(?:sub-?)?(?:agents?|bots?)\b
    (?:another|other|second|different) (?:<field> )?(?:agents?|models?|instance)\b
    (?:<field>|our|my|a|the) specialists?\b
    (?:team|swarm|group|fleet) of (?:\w+ ){0,2}(?:agents|specialists|assistants|models)\b
    """,
    field=_FIELD,
)
_DOES = lines(
    r"""
    (?:has|have)<adv> (?:completed|finished|returned|reported|found|started|begun|confirmed)\b
    (?:has|have)<adv> (?:responded|come back|delivered|concluded)\b
    (?:is|are)<adv> (?:working|running|handling|processing|researching|analy[sz]ing|looking)\b
    (?:is|are)<adv> (?:investigating|gathering|compiling|preparing|done|finished|on it)\b
    will (?:report|get back|return|handle|take care|look|deliver|notify|research|analy[sz]e)\b
    """,
    adv=_ADVERBS,
)
_PARTS = {"adv": _ADVERBS, "gap": _GAP, "agent": _AGENT, "does": _DOES} | {
    "agent_de": lines(
        r"""
        (?:sub|unter)-?agent\w*
        \w+-?agent(?:en|in)?\b
        (?:anderen|weiteren|eigenen|separaten|spezialisierten|zuständigen) agenten\b
        spezialist(?:en)?(?:-?team|-?modell)?\b
        """
    ),
    "agent_fr": lines(
        r"""
        sous-agents?\b
        (?:autre|second) (?:agent|modèle)
        agents? (?:spécialisé|de recherche|d'analyse|ia|dédié|autonome|de codage)
        équipe d'agents
        """
    ),
    "agent_es": lines(
        r"""
        sub-?agentes?\b
        (?:otro|segundo) (?:agente|modelo)
        agentes? (?:especializad|de investigación|de análisis|de ia|dedicad|autónom)
        equipo de agentes
        """
    ),
}
_CLAIMS = r"""
(?:i|we)(?:'ve| have)<adv> (?:delegated|handed|assigned|dispatched|spawned|launched)\b<gap>\b<agent>
(?:i|we)(?:'ve| have)<adv> (?:spun up|deployed|created|started|forwarded|passed)\b<gap>\b<agent>
(?:i|we)(?:'ve| have)<adv> (?:routed|escalated|outsourced|tasked|instructed)\b<gap>\b<agent>
(?:i|we)(?:'ve| have)<adv> (?:asked|sent|kicked off|transferred|engaged)\b<gap>\b<agent>
(?:i|we)(?:'ve| have)<adv> delegated (?:this|that|it|the|your|these|those|some|all)\b
(?:i|we)<adv> (?:delegated|handed|dispatched|spawned|tasked|spun up)\b<gap>\b<agent>
(?:this|it|your \w+) (?:has been|was|is being)<adv> (?:delegated|dispatched) to\b<gap><agent>
(?:this|your \w+) (?:has been|was|is being)<adv> (?:handed (?:off|over)|routed) to\b<gap><agent>
(?:this|your \w+) (?:has been|was|is being)<adv> (?:assigned|escalated) to\b<gap><agent>
(?:my|our|one of (?:my|our)) (?:\w+ )?<agent>(?: \w+)? <does>
the (?:\w+ )?<agent> <does>(?: \w+){0,2} (?:this|it|that|your|you)\b
ich habe <gap><agent_de><gap>(?:delegiert|beauftragt|übergeben|weitergeleitet|weitergegeben)
ich habe <gap><agent_de><gap>(?:übertragen|gestartet|losgeschickt|zugewiesen)
ich habe (?:das|dies|diese|die|den|deine|ihre)\b<gap> delegiert
(?:mein|unser)e? <agent_de> (?:arbeite[tn]|kümmer[tn]|ha(?:t|ben)|recherchier(?:t|en))\b
(?:j'ai|nous avons)(?: déjà| bien)? (?:délégué|confié|transmis|assigné)<gap> <agent_fr>
(?:j'ai|nous avons)(?: déjà| bien)? délégué (?:cette|ce|la|le|votre|ta)\b
(?:mon|mes|notre|nos) <agent_fr>\w* (?:travaill|s'occup|a |ont |est |sont )
(?:he|hemos)(?: ya)? (?:delegado|asignado|encargado|transferido|pasado|lanzado)<gap> <agent_es>
(?:he|hemos)(?: ya)? delegado (?:esta|este|la|el|tu|su)\b
(?:mi|mis|nuestro|nuestros) <agent_es>\w* (?:está|trabaja|ha |han |se )
"""
_PLANS = r"""
(?:i|we)(?:'m| am|'re| are)<adv> (?:delegating|handing|assigning|dispatching)\b<gap>\b<agent>
(?:i|we)(?:'m| am|'re| are)<adv> (?:spawning|launching|spinning up|deploying)\b<gap>\b<agent>
(?:i|we)(?:'m| am|'re| are)<adv> (?:forwarding|passing|routing|escalating)\b<gap>\b<agent>
(?:i|we)(?:'m| am|'re| are)<adv> delegating (?:this|that|it|the|your)\b
(?:i'll|i will|we'll|we will|let me|i'm going to)<adv> (?:delegate|hand|assign)\b<gap>\b<agent>
(?:i'll|i will|we'll|we will|let me|i'm going to)<adv> (?:dispatch|spawn|launch)\b<gap>\b<agent>
(?:i'll|i will|we'll|we will|let me|i'm going to)<adv> (?:spin up|deploy|route)\b<gap>\b<agent>
(?:i'll|i will|we'll|we will|let me|i'm going to)<adv> (?:pass|escalate|have)\b<gap>\b<agent>
ich (?:werde|delegiere|übergebe|beauftrage|starte)\b<gap> <agent_de>
je (?:vais|délègue|confie|transmets)\b<gap> <agent_fr>
(?:voy a|delego|encargo|delegaré) <gap> <agent_es>
"""
_CLAIMED = phrases(_CLAIMS, **_PARTS)
_CLAIMED_OR_PLANNED = phrases(_CLAIMS + _PLANS, **_PARTS)
_CONDITION = phrases(
    r"""
    (?:if|when|whenever|once|until|after|unless|suppose|imagine|would|could|for example)\b
    (?:wenn|falls|sobald|zum beispiel|si|quand|lorsque|par exemple|cuando|por ejemplo)\b
    """
)
_TOPIC = phrases(
    r"""
    (?:what|how|why|explain|describe|write|draft|story|example|pretend)\b.*(?:agent|deleg)
    (?:was|wie|warum|erklär\w*|beschreib\w*|schreib\w*)\b.*(?:agent|deleg)
    (?:comment|pourquoi|expliqu\w*)\b.*(?:agent|délég)
    écri\w*.*(?:agent|délég)
    (?:cómo|qué|explica\w*|escrib\w*)\b.*(?:agent|deleg)
    """
)


def _make(context: GuardContext) -> Check | None:
    if may(context.tools_run, ToolKind.DELEGATION) or _TOPIC.search(context.question):
        return None
    # A model that can delegate announces it before it does.
    claims = _CLAIMED if could(context.tools, ToolKind.DELEGATION) else _CLAIMED_OR_PLANNED

    def find(sentence: str) -> list[Span]:
        found = claims.search(sentence)
        if found is None or _CONDITION.search(sentence[: found[0]]) is not None:
            return []
        return [without_remark(sentence, *found)]

    return sentence_check(find)


GUARD = GuardSpec(
    name="delegation",
    does="Removes claims that work was given to another agent if no tool did that in this turn.",
    action=Action.REWRITE,
    streaming=True,
    make=_make,
)
