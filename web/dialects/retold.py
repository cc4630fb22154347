"""A turn's events as they would be, had its answer been begun only once.

Who reads a turn when it is over need not be shown what was taken back while it played.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from actors.events import AnyEvent, Replace, Retry, RouteChanged, Started, Text, Warning
from actors.journal import after_last

_STAYS = (Started, RouteChanged, Warning)
"""Events that are no part of the answer, so that a `retry` does not discard them."""


def retold(journal: Sequence[AnyEvent]) -> list[AnyEvent]:
    """The events without what `retry` discarded, and without texts that `replace` took away."""
    begin = after_last(journal, Retry)
    rest = after_last(journal, Replace, begin)
    stays = [event for event in islice(journal, begin) if type(event) in _STAYS]
    return [*stays, *_replaced(journal[begin:rest]), *journal[rest:]]


def _replaced(until: Sequence[AnyEvent]) -> Iterator[AnyEvent]:
    """Events of which the last is a `replace`, if there are any: its text for the first text."""
    text = [Text(event.text) for event in until[-1:] if isinstance(event, Replace)]
    for event in until:
        if not isinstance(event, Text | Replace):
            yield event
        elif text:
            yield text.pop()
