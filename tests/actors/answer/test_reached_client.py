"""Tests of the decision if any of an answer can have reached its client."""

import pytest
from msgspec.structs import replace

from actors.answer.builder import fold, reached_client
from actors.turn.events import (
    AnyEvent,
    Reasoning,
    Refusal,
    Replace,
    Retry,
    Started,
    Text,
    ToolCallDelta,
    Warning,
)
from actors.turn.outcome import STATUS_OF, Reason, Status
from tests.support.turn_fakes import a_request

START = Started(turn_id="turn_1", model="m", provider="p", upstream_model="u", created_at=1.0)
COMPLETED = [reason for reason in Reason if STATUS_OF[reason] is Status.COMPLETED]
NOT_COMPLETED = [reason for reason in Reason if reason not in COMPLETED]
PARTIAL_DELIVERED = {
    Reason.SIZE_LIMIT,
    Reason.GUARD_BLOCKED,
    Reason.GUARD_REJECTED,
    Reason.CANCEL_REQUESTED,
}


def delivered(reason: Reason, *answer: AnyEvent, whole: bool = False) -> bool:
    """Return True if this content of a turn with this end can have reached its client."""
    request = replace(a_request(), replaceable=whole)
    return reached_client(request, fold([START, *answer]), STATUS_OF[reason], reason)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("reason", COMPLETED)
def test_completed_answer_reaches_the_client_even_if_empty(reason: Reason, whole: bool) -> None:
    assert delivered(reason, whole=whole)


@pytest.mark.parametrize("reason", NOT_COMPLETED)
def test_streamed_content_reaches_the_client(reason: Reason) -> None:
    assert delivered(reason, Text("Hel"))
    assert delivered(reason, Refusal("No"))
    assert delivered(reason, ToolCallDelta(0, "call_a", "weather", "{"))
    assert delivered(reason, Text("Hel"), Reasoning("Hm."), Warning("w", "note"))
    assert not delivered(reason)
    assert not delivered(reason, Reasoning("Hm."))


@pytest.mark.parametrize("reason", NOT_COMPLETED)
def test_non_streaming_client_gets_an_error_instead(reason: Reason) -> None:
    assert delivered(reason, Text("Hel"), whole=True) == (reason in PARTIAL_DELIVERED)
    assert not delivered(reason, whole=True)


def test_discarded_content_does_not_count() -> None:
    assert not delivered(Reason.UPSTREAM_ERROR, Text("Hel"), Retry("why"))
    assert delivered(Reason.UPSTREAM_ERROR, Text("Hel"), Retry("why"), Text("Hi"))
    assert delivered(Reason.GUARD_BLOCKED, Text("Hel"), Replace("Sorry.", "why"))
