"""Tests of the outcome decision, as a table."""

import msgspec
import pytest

from actors.finalisation.outcome_decision import decide, tool_calls_json
from actors.turn import events
from actors.turn.outcome import STATUS_OF, TERMINAL, ErrorInfo, Reason, Status
from actors.turn.state import Cause

S, R = Status, Reason
ERROR = ErrorInfo(status=502, message="cut")

FINISHES = [R.STOP, R.LENGTH, R.TOOL_CALLS, R.CONTENT_FILTER, R.PAUSE_TURN]
CAUSES = [
    (R.CLIENT_DISCONNECTED, S.INCOMPLETE),
    (R.TIME_BUDGET, S.INCOMPLETE),
    (R.SIZE_LIMIT, S.INCOMPLETE),
    (R.SERVER_SHUTDOWN, S.INCOMPLETE),
    (R.CANCEL_REQUESTED, S.CANCELLED),
    (R.UPSTREAM_UNREACHABLE, S.FAILED),
    (R.UPSTREAM_REJECTED, S.FAILED),
    (R.UPSTREAM_ERROR, S.FAILED),
    (R.UPSTREAM_TIMEOUT, S.FAILED),
    (R.UPSTREAM_TRUNCATED, S.FAILED),
    (R.GUARD_BLOCKED, S.FAILED),
    (R.GUARD_REJECTED, S.FAILED),
    (R.STORE_UNAVAILABLE, S.FAILED),
    (R.OWNER_LOST, S.FAILED),
    (R.INTERNAL_ERROR, S.FAILED),
]


@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize(
    "cause", [None, Cause(R.CLIENT_DISCONNECTED), Cause(R.UPSTREAM_ERROR, ERROR)]
)
def test_finish_wins_over_any_cause(finish: Reason, cause: Cause | None) -> None:
    assert decide(finish, cause) == (finish, None)
    assert STATUS_OF[finish] is S.COMPLETED


@pytest.mark.parametrize(("reason", "status"), CAUSES)
def test_without_a_finish_the_cause_decides(reason: Reason, status: Status) -> None:
    assert decide(None, Cause(reason, ERROR)) == (reason, ERROR)
    assert STATUS_OF[reason] is status


def test_neither_finish_nor_cause_is_upstream_truncated() -> None:
    reason, error = decide(None, None)
    assert (STATUS_OF[reason], reason) == (S.FAILED, R.UPSTREAM_TRUNCATED)
    assert error is not None
    assert error.status == 502


def test_tables_are_complete() -> None:
    assert {*FINISHES, *(reason for reason, _ in CAUSES)} == set(Reason) == set(STATUS_OF)
    assert set(STATUS_OF.values()) == TERMINAL


def test_tool_calls_are_stored_in_openai_format() -> None:
    assert tool_calls_json([]) is None
    kept = tool_calls_json([events.ToolCall(0, "call_1", "f", '{"a":1}')])
    assert kept is not None
    assert msgspec.json.decode(kept) == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    ]
