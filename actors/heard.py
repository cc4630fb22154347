"""Whether a client heard anything of its answer. Pure.

A conversation goes on from turns that said something. Who got an error instead says it all again,
and so do clients by themselves.
"""

from collections.abc import Sequence

from actors.events import AnyEvent, Refusal, Replace, Retry, Text, ToolCall, ToolCallDelta
from actors.outcome import Reason, Status
from actors.turn import TurnRequest

_SAID = (Text, Refusal, ToolCallDelta, ToolCall, Replace)
"""Thoughts are not among them: nobody can go on from an answer that has nothing else."""
_TOLD_WHOLE = frozenset({Reason.SIZE_LIMIT, Reason.GUARD_BLOCKED, Reason.CANCEL_REQUESTED})
"""Ends before its time of an answer that somebody is told all the same who wants it whole."""


def was_heard(
    request: TurnRequest, journal: Sequence[AnyEvent], status: Status, reason: Reason
) -> bool:
    """Whether anything of the answer in `journal` can have reached who asked for it."""
    if status is Status.COMPLETED:
        return True
    if request.replaceable and reason not in _TOLD_WHOLE:
        return False
    return says_something(journal)


def says_something(journal: Sequence[AnyEvent]) -> bool:
    """Whether there is anything in it that one can go on from."""
    for event in reversed(journal):
        if isinstance(event, _SAID):
            return True
        if isinstance(event, Retry):
            return False
    return False
