"""Has the model answer again if it promises to do the work later, which no model can."""

from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Meaning
from actors.guards.wording.requests import wants_a_voice
from actors.guards.wording.semantics import score_check
from actors.guards.wording.tool_kinds import ToolKind, may

THRESHOLD = 0.70
_DIRECTIVE = "Do the work now, in this answer: you cannot come back to it later."


def _make(context: GuardContext) -> Check | None:
    # A job that a tool has started can report later.
    if any(may(context.tools_run, one) for one in (ToolKind.DELEGATION, ToolKind.CALENDAR)):
        return None
    if wants_a_voice(context.question):
        return None
    return score_check(Meaning.TASK_DEFERRAL, THRESHOLD, _DIRECTIVE)


GUARD = GuardSpec(
    name="task_deferral",
    does="Has the model answer again if it promises to do the work later.",
    action=Action.RETRY,
    make=_make,
)
