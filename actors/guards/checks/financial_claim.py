"""Has the model answer again if it reports a payment or a balance that no tool returned."""

import re

from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Meaning
from actors.guards.wording.requests import wants_a_voice
from actors.guards.wording.semantics import score_check
from actors.guards.wording.tool_kinds import ToolKind, could, may

THRESHOLD = 0.65
_DIRECTIVE = "Report only payments and balances that a tool has returned in this turn."
_AMOUNT = re.compile(r"\d")


def _make(context: GuardContext) -> Check | None:
    if any(may(context.tools_run, one) for one in (ToolKind.PAYMENTS, ToolKind.DATABASE)):
        return None
    # A sum such as a balance can be the answer to a calculation with the user's numbers.
    calculates = _AMOUNT.search(context.question) is not None
    if wants_a_voice(context.question) or (
        calculates and not could(context.tools, ToolKind.PAYMENTS)
    ):
        return None
    return score_check(Meaning.FINANCIAL_CLAIM, THRESHOLD, _DIRECTIVE)


GUARD = GuardSpec(
    name="financial_claim",
    does="Has the model answer again if it reports a payment or balance that no tool returned.",
    action=Action.RETRY,
    make=_make,
)
