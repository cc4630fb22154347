"""Removes tool calls and marks of chat templates that a model wrote into its text.

A template that does not fit the model makes them visible. Code, quotations, HTML and other JSON are
left alone.
"""

from actors.guards.leaks.protocol import parts, settled
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span, SpanCheck


def _make(context: GuardContext) -> Check:
    def find(text: str) -> list[Span]:
        return [
            Span(part.begin, part.end) for part in parts(text, context.tools) if part.is_protocol
        ]

    return SpanCheck(settle=settled, find=find)


GUARD = GuardSpec(
    name="internal_protocol",
    does="Removes tool calls and marks of chat templates that the model wrote as text.",
    action=Action.REWRITE,
    streaming=True,
    make=_make,
)
