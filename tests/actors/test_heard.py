"""Whether a client heard anything of its answer."""

import pytest
from msgspec.structs import replace

from actors.events import (
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
from actors.heard import was_heard
from actors.outcome import STATUS_OF, Reason, Status
from tests.actors.fakes import a_request

START = Started(turn_id="turn_1", model="m", provider="p", upstream_model="u", created_at=1.0)
ENDED_WELL = [reason for reason in Reason if STATUS_OF[reason] is Status.COMPLETED]
ENDED_EARLY = [reason for reason in Reason if reason not in ENDED_WELL]
TOLD_WHOLE = {Reason.SIZE_LIMIT, Reason.GUARD_BLOCKED, Reason.CANCEL_REQUESTED}


def heard(reason: Reason, *said: AnyEvent, whole: bool = False) -> bool:
    """Whether it was, of a turn that said this and ended so."""
    request = replace(a_request(), replaceable=whole)
    return was_heard(request, [START, *said], STATUS_OF[reason], reason)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("reason", ENDED_WELL)
def test_a_whole_answer_is_heard_even_if_it_says_nothing(reason: Reason, whole: bool) -> None:
    assert heard(reason, whole=whole)


@pytest.mark.parametrize("reason", ENDED_EARLY)
def test_of_a_stream_is_heard_what_was_said_of_it(reason: Reason) -> None:
    assert heard(reason, Text("Hel"))
    assert heard(reason, Refusal("No"))
    assert heard(reason, ToolCallDelta(0, "call_a", "weather", "{"))
    assert heard(reason, Text("Hel"), Reasoning("Hm."), Warning("w", "told"))
    assert not heard(reason)
    assert not heard(reason, Reasoning("Hm."))


@pytest.mark.parametrize("reason", ENDED_EARLY)
def test_who_wants_a_whole_answer_hears_an_error_instead(reason: Reason) -> None:
    assert heard(reason, Text("Hel"), whole=True) == (reason in TOLD_WHOLE)
    assert not heard(reason, whole=True)


def test_what_was_taken_back_does_not_count() -> None:
    assert not heard(Reason.UPSTREAM_ERROR, Text("Hel"), Retry("why"))
    assert heard(Reason.UPSTREAM_ERROR, Text("Hel"), Retry("why"), Text("Hi"))
    assert heard(Reason.GUARD_BLOCKED, Text("Hel"), Replace("Sorry.", "why"))
