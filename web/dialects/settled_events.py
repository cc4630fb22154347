"""Drops the events of an ended turn that a retry or replace has discarded.

A client that reads the turn after its end gets only the final answer.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from actors.journal.journal import after_last
from actors.turn.events import AnyEvent, Replace, Retry, RouteChanged, Started, Text, Warning

_STAYS = (Started, RouteChanged, Warning)
"""Events that are not part of the answer, so that a `retry` does not discard them."""


def settled_events(journal: Sequence[AnyEvent]) -> list[AnyEvent]:
    """Return the events without those that a `retry` or `replace` has discarded."""
    begin = after_last(journal, Retry)
    rest = after_last(journal, Replace, begin)
    stays = [event for event in islice(journal, begin) if type(event) in _STAYS]
    return [*stays, *_replaced(journal[begin:rest]), *journal[rest:]]


def _replaced(until: Sequence[AnyEvent]) -> Iterator[AnyEvent]:
    """Yield the events before a `replace`, with its text in the place of the first text event.

    The last of the events is the `replace`, unless there are none.
    """
    text = [Text(event.text) for event in until[-1:] if isinstance(event, Replace)]
    for event in until:
        if not isinstance(event, Text | Replace):
            yield event
        elif text:
            yield text.pop()
