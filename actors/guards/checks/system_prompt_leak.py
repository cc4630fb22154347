"""Blocks answers that repeat the system prompt word by word.

With marks around the prompt they are part of it: a genuine mark with a few words of the prompt is a
copy. One alone is removed by `boundary_markers`.
"""

from actors.guards.boundaries import wrap
from actors.guards.leaks.prompt_copies import LEAST_CHARACTERS, PromptIndex
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span, SpanCheck


def _make(context: GuardContext) -> Check | None:
    if len(context.system) < LEAST_CHARACTERS // 2:
        return None
    secret, system = context.boundary_secret, context.system
    index = PromptIndex(wrap(secret, system) if secret else system, known=context.question)

    def find(text: str) -> list[Span]:
        if len(text) < LEAST_CHARACTERS // 2:
            return []
        return [Span(begin, end) for begin, end in index.copies(text)]

    return SpanCheck(settle=index.may_continue, find=find, everywhere=True)


GUARD = GuardSpec(
    name="system_prompt_leak",
    does="Blocks answers that repeat at least eight words in a row of the system prompt.",
    action=Action.BLOCK,
    make=_make,
)
