"""Removes personal data of the kinds that are configured."""

import re
from collections.abc import Iterator

from actors.guards.leaks.flow import Flow
from actors.guards.leaks.identifiers import FINDERS, Kind, joins_number
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span

_FLOW = Flow(longest=256, joined=joins_number)
_MAYBE = re.compile(r"@|[0-9](?:\S{5}|[0-9 ()./-]{5})")
"""Something that all personal data has."""


def _make(context: GuardContext) -> Check | None:
    kinds = [kind for kind in Kind if kind in context.personal_data]

    def spans(text: str) -> Iterator[Span]:
        if _MAYBE.search(text) is None:
            return
        found = sorted((*place, kind) for kind in kinds for place in FINDERS[kind](text))
        at = 0
        for begin, end, kind in found:
            if begin >= at:
                yield Span(begin, end, f"[{kind.replace('_', ' ')} removed]")
                at = end

    return _FLOW.check(spans, everywhere=True) if kinds else None


GUARD = GuardSpec(
    name="personal_data",
    does="Removes personal data: addresses and numbers of the kinds that are configured.",
    action=Action.REWRITE,
    make=_make,
)
