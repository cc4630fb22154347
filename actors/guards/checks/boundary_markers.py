"""Removes the marks around the system prompt from answers, genuine ones and others.

A genuine opening mark is also the beginning of a copy of the prompt: `system_prompt_leak` blocks
it. Here all marks are alike, so that nothing that looks like one reaches the next turn's history.
"""

import re
from collections.abc import Iterator

from actors.guards.boundaries import LONGEST_MARK, MARK
from actors.guards.leaks.flow import Flow
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span

_FLOW = Flow(longest=4 * LONGEST_MARK, forced=(re.compile(r".*(?<!\[)(?=\[)", re.DOTALL),))


def _spans(text: str) -> Iterator[Span]:
    if "[[" in text:
        for begin, end in MARK.finditer(text):
            yield Span(begin, end)


def _make(context: GuardContext) -> Check | None:
    return _FLOW.check(_spans, everywhere=True) if context.boundary_secret else None


GUARD = GuardSpec(
    name="boundary_markers",
    does="Removes the marks that the server puts around the system prompt.",
    action=Action.REWRITE,
    streaming=True,
    make=_make,
)
