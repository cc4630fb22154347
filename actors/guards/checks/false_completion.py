"""Has the model answer again if it reports success although it has tools and called none."""

from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Meaning
from actors.guards.wording.requests import wants_a_voice
from actors.guards.wording.semantics import score_check

THRESHOLD = 0.70
_DIRECTIVE = "Call the tools that the task needs before you report that it is done."


def _make(context: GuardContext) -> Check | None:
    # Without tools, what was done is the text of the answer.
    if not context.tools or context.tools_run or wants_a_voice(context.question):
        return None
    return score_check(Meaning.FALSE_COMPLETION, THRESHOLD, _DIRECTIVE)


GUARD = GuardSpec(
    name="false_completion",
    does="Has the model answer again if it reports success but has called none of its tools.",
    action=Action.RETRY,
    make=_make,
)
