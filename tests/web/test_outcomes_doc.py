"""`docs/reference/outcomes.md` lists every outcome with its status."""

import re
from pathlib import Path
from typing import get_args

from actors.attempts.client_errors import client_error, conversation_busy
from actors.finalisation.finaliser import INTERNAL
from actors.finalisation.outcome_decision import decide
from actors.run_turn import _UNAVAILABLE
from actors.turn.events import Ended
from actors.turn.model_call import FailureKind, UpstreamFailure, failure_reason
from actors.turn.outcome import STATUS_OF, TERMINAL, DisconnectStage, ErrorInfo, Reason, Status
from store.records.turn_records import Stored
from web.dialects.openai_chat.stream import FINISH_REASONS
from web.dialects.turn_errors import ending_error

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reference" / "outcomes.md").read_text("utf-8")

OWN_ERRORS = {
    Reason.INTERNAL_ERROR: INTERNAL,
    Reason.UPSTREAM_TRUNCATED: decide(None, None)[1],
}
"""Errors that the actors themselves set, by reason."""


def rows(heading: str) -> dict[str, list[str]]:
    """Return the table under a heading: by the first cell of each row, its other cells."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first.strip("`"): rest for first, *rest in cells}


def statuses_in(cell: str) -> set[str]:
    """Return the HTTP statuses that a cell names."""
    return set(re.findall(r"\b(\dxx|[1-5]\d\d)\b", cell))


def ended(reason: Reason, error: ErrorInfo | None) -> Ended:
    return Ended(
        status=STATUS_OF[reason],
        reason=reason,
        usage=None,
        cost_micros=0,
        provider=None,
        upstream_model=None,
        created_at=0,
        first_token_at=None,
        ended_at=0,
        error=error,
    )


def http_statuses(reason: Reason) -> set[str]:
    """Return the statuses that a non-streaming client can get for this reason."""
    if reason in FINISH_REASONS:
        return {"200"}
    kinds = [kind for kind in FailureKind if failure_reason(kind) is reason]
    if reason is Reason.STORE_UNAVAILABLE:
        return {str(_UNAVAILABLE.status), str(conversation_busy("").status)}
    if not kinds:
        return {str(ending_error(ended(reason, OWN_ERRORS.get(reason))).status)}
    return {status for kind in kinds for status in failure_statuses(kind)}


def failure_statuses(kind: FailureKind) -> set[str]:
    """Return the client's statuses for a failure of this kind, over all provider statuses."""
    given: list[int | None] = [None]
    if kind is FailureKind.REJECTED:
        given = list(range(400, 500))
    elif kind is FailureKind.SERVER_ERROR:
        given = [None, *range(500, 600)]
    elif kind is FailureKind.IN_STREAM_ERROR:
        given = [None, *range(400, 600)]
    found = {client_error(UpstreamFailure(kind, "", status=status)).status for status in given}
    return {"4xx" if 400 <= status < 500 else str(status) for status in found}


def test_every_status_is_listed_with_its_terminality() -> None:
    assert {name: cells[0] for name, cells in rows("Statuses").items()} == {
        status.value: "yes" if status in TERMINAL else "no" for status in Status
    }


def test_every_reason_is_listed_with_its_status() -> None:
    assert {name: cells[0].strip("`") for name, cells in rows("Reasons").items()} == {
        reason.value: STATUS_OF[reason].value for reason in Reason
    }


def test_every_reason_is_listed_with_its_http_statuses() -> None:
    for name, cells in rows("Reasons").items():
        recorded = http_statuses(Reason(name))
        # 499 is only recorded, never sent; the same cell also names the status that is sent.
        on_the_wire = {"409"} if name == "cancel_requested" else set()
        assert statuses_in(cells[3]) == recorded | on_the_wire, name


def test_no_cell_is_empty() -> None:
    for heading in (
        "Statuses",
        "Reasons",
        "Disconnect stages",
        "Record locations",
        "Failure scenarios",
    ):
        for name, cells in rows(heading).items():
            assert all(cells), (heading, name)


def test_every_disconnect_stage_is_listed() -> None:
    assert rows("Disconnect stages").keys() == {stage.value for stage in DisconnectStage}


def test_every_place_of_a_record_is_listed() -> None:
    assert rows("Record locations").keys() == set(get_args(Stored))


def test_every_timeout_code_is_listed() -> None:
    cell = rows("Reasons")["upstream_timeout"][2]
    kinds = {k for k in FailureKind if failure_reason(k) is Reason.UPSTREAM_TIMEOUT}
    assert set(re.findall(r"`(\w+)`", cell)) == {kind.value for kind in kinds}


def test_every_failure_scenario_has_a_test() -> None:
    for name, cells in rows("Failure scenarios").items():
        assert (ROOT / cells[-1].strip("`")).is_file(), name
