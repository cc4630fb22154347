"""Removes claims that work was given to another agent, unless a tool did so in this turn."""

from actors.guards.prose import sentence_check
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span
from actors.guards.wording.phrases import lines, phrases
from actors.guards.wording.remarks import without_remark
from actors.guards.wording.tool_kinds import ToolKind, could, may

_ADVERBS = r"(?: just| now| already| also| successfully| currently| therefore| since| personally)*"
_GAP = r"[^.!?,;:]*?"
_AGENT = lines(
    r"""
    (?:(?:the|a|an|my|our|your|two|three|several|multiple|some) )?(?:[\w'-]+ ){0,3}?(?:sub-?\s?agents?|\w*agents?)\b
    (?:another|a second|a different|other) (?:\w+ )?(?:ai|models?|assistant|instance)\b
    (?:our|my|a|the) (?:\w+ )?specialists?\b
    (?:team|swarm|group|fleet) of (?:\w+ ){0,2}(?:specialists|assistants|models)\b
    """
)
_HUMAN = phrases(
    r"""
    (?:travel|estate|real-estate|insurance|booking|rental|letting|secret|special|police|customs|fbi) agents?\b
    (?:press|literary|sports|talent|cleaning|chemical|user|shipping|patent|federal|support|service|sales|ticket) agents?\b
    """
)
"""Agents that are people or substances, or a program of another kind."""
_DOES = lines(
    r"""
    (?:has|have)<adv> (?:completed|finished|returned|reported|found|started|begun|confirmed|responded)\b
    (?:has|have)<adv> (?:come back|delivered|concluded|broken|assigned|taken|picked|accepted)\b
    (?:is|are)<adv> (?:working|running|handling|processing|researching|analy[sz]ing|looking|digging)\b
    (?:is|are)<adv> (?:investigating|gathering|compiling|preparing|reviewing|done|finished|on it)\b
    will (?:report|get back|return|handle|take care|look|deliver|notify|research|analy[sz]e)\b
    """,
    adv=_ADVERBS,
)
_PARTS = {
    "have": rf"(?:i|we)(?:'ve| have){_ADVERBS}",
    "plan": rf"(?:i'll|i will|we'll|we will|let me|i'm going to|i am going to){_ADVERBS}",
    "do": rf"(?:i|we)(?:'m| am|'re| are){_ADVERBS}",
    "task": r"(?:this|it|your \w+|the \w+)",
    "adv": _ADVERBS,
    "gap": _GAP,
    "agent": _AGENT,
    "does": _DOES,
    "agent_de": lines(
        r"""
        (?:sub|unter)-?agent\w*
        \w+-?agent(?:en|in)?\b
        (?:anderen|weiteren|zweiten|eigenen|separaten|spezialisierten|zuständigen) agenten\b
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
<have> (?:delegated|handed|assigned|dispatched|spawned|launched|spun up|deployed|created|started)\b<gap>\b<agent>
<have> (?:forwarded|passed|routed|escalated|outsourced|tasked|instructed|asked|sent|kicked off)\b<gap>\b<agent>
<have> (?:transferred|engaged|enlisted|looped in|brought in|pulled in|called in|handed over|turned)\b<gap>\b<agent>
<have> (?:farmed out|farmed (?:this|it|that) out|put)\b<gap>\b(?:sub-?agents?|\w+ agents?)\b(?: on (?:it|this))?
(?:i|we) (?:farmed|put)\b<gap>\bsub-?agents?\b
<have> delegated (?:this|that|it|the|your|these|those|some|all)\b
(?:i|we)<adv> (?:delegated|handed|dispatched|spawned|tasked|spun up|kicked off|enlisted|looped in)\b<gap>\b<agent>
<task> (?:has been|was|is being)<adv> (?:delegated|dispatched|handed (?:off|over)|routed|assigned|escalated) to\b<gap><agent>
(?:my|our|one of (?:my|our)) <agent>(?: \w+)? <does>
<agent> <does>\b.*\b(?:this|it|your|you)\b
ich habe <gap><agent_de><gap>(?:delegiert|beauftragt|übergeben|weitergeleitet|weitergegeben)
<agent> (?:is|are)<adv> \w+ing (?:this|it|that|your \w+)(?: for you)?\b
(?:i'm|i am|we're|we are) having (?:another|a second|a different) (?:\w+ )?(?:ai|agent|model)\b
ich habe <gap><agent_de><gap>(?:angesetzt|übertragen|gestartet|losgeschickt|zugewiesen)
ich habe (?:das|dies|diese|die|den|deine|ihre)\b<gap> delegiert
(?:ein|der) <agent_de> (?:arbeitet|kümmert|bearbeitet|übernimmt)\b.*(?:daran|darum|deine|ihre|die anfrage|das)\b
(?:mein|unser)e? <agent_de> (?:arbeite[tn]|kümmer[tn]|ha(?:t|ben)|recherchier(?:t|en))\b
(?:j'ai|nous avons)(?: déjà| bien)? (?:délégué|confié|transmis|assigné)<gap> <agent_fr>
(?:j'ai|nous avons)(?: déjà| bien)? délégué (?:cette|ce|la|le|votre|ta)\b
(?:un|le) <agent_fr>\w* (?:s'en charge|s'en occupe|travaille (?:dessus|sur votre)|s'occupe de votre)
(?:mon|mes|notre|nos) <agent_fr>\w* (?:travaill|s'occup|a |ont |est |sont )
(?:he|hemos)(?: ya)? (?:delegado|asignado|encargado|transferido|pasado|lanzado)<gap> <agent_es>
(?:he|hemos)(?: ya)? delegado (?:esta|este|la|el|tu|su)\b
(?:un|el) <agent_es>\w* (?:se encarga de ello|se ocupa de ello|está trabajando en (?:ello|tu|su))
(?:mi|mis|nuestro|nuestros) <agent_es>\w* (?:está|trabaja|ha |han |se )
"""
_PLANS = r"""
<do> (?:delegating|handing|assigning|dispatching|spawning|launching|spinning up|deploying)\b<gap>\b<agent>
<do> (?:forwarding|passing|routing|escalating|looping in|bringing in)\b<gap>\b<agent>
<do> delegating (?:this|that|it|the|your)\b
<plan> (?:delegate|hand|assign|dispatch|spawn|launch|spin up|deploy|route|pass|escalate|have)\b<gap>\b<agent>
^\W*(?:delegating|dispatching|handing|assigning|spawning|launching|deploying)\b<gap>\b<agent>
ich (?:werde|delegiere|übergebe|beauftrage|starte)\b<gap> <agent_de>
je suis en train de (?:déléguer|confier|transmettre)\b<gap> <agent_fr>
je (?:vais|délègue|confie|transmets)\b<gap> <agent_fr>
(?:estoy|estamos) (?:delegando|asignando|pasando|transfiriendo)\b<gap> <agent_es>
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
        if found is None or _CONDITION.search(sentence[: found[1]]) is not None:
            return []
        if _HUMAN.search(sentence[slice(*found)]) is not None:
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
