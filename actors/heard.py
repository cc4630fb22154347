"""Answer delivery: decides if any of a turn's answer can have reached its client.

A conversation continues from such turns. If a client got only an error, it sends its input again,
and so do SDKs when they retry. The module does no I/O.
"""

from collections.abc import Sequence

from actors.turn.events import AnyEvent, Refusal, Replace, Retry, Text, ToolCall, ToolCallDelta
from actors.turn.outcome import Reason, Status
from actors.turn.request import TurnRequest

_CONTENT = (Text, Refusal, ToolCallDelta, ToolCall, Replace)
"""Event types that a later turn can continue from; reasoning alone does not count."""
_PARTIAL_DELIVERED = frozenset({Reason.SIZE_LIMIT, Reason.GUARD_BLOCKED, Reason.CANCEL_REQUESTED})
"""End reasons for which a non-streaming client still receives the partial answer."""


def reached_client(
    request: TurnRequest, journal: Sequence[AnyEvent], status: Status, reason: Reason
) -> bool:
    """Return True if any of the answer in `journal` can have reached the client."""
    if status is Status.COMPLETED:
        return True
    if request.replaceable and reason not in _PARTIAL_DELIVERED:
        return False
    return has_content(journal)


def has_content(journal: Sequence[AnyEvent]) -> bool:
    """Return True if the journal has content since its last retry that a turn can continue from."""
    for event in reversed(journal):
        if isinstance(event, _CONTENT):
            return True
        if isinstance(event, Retry):
            return False
    return False
