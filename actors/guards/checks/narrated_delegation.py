"""Has the model answer again if it says in any words that another agent works on the answer."""

from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Meaning
from actors.guards.wording.phrases import phrases
from actors.guards.wording.requests import wants_a_voice
from actors.guards.wording.semantics import score_check
from actors.guards.wording.tool_kinds import ToolKind, may

THRESHOLD = 0.65
_TOPIC = phrases(r"(?:agents?|sub-?agents?|deleg\w*|orchestr\w*|agenten?|agente|déléguer)\b")
_DIRECTIVE = "Answer yourself: no other agent works on this, so do not say that one does."


def _make(context: GuardContext) -> Check | None:
    question = context.question
    if may(context.tools_run, ToolKind.DELEGATION) or _TOPIC.search(question):
        return None
    if wants_a_voice(question):
        return None
    return score_check(Meaning.NARRATED_DELEGATION, THRESHOLD, _DIRECTIVE)


GUARD = GuardSpec(
    name="narrated_delegation",
    does="Has the model answer again if it says that another agent works on the answer.",
    action=Action.RETRY,
    make=_make,
)
