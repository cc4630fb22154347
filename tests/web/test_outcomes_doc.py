"""`docs/reference/outcomes.md` names every outcome there is, with the status that it has."""

import re
from pathlib import Path
from typing import get_args

from actors.ending import decide
from actors.events import Ended
from actors.failures import client_error, conversation_busy
from actors.finalise import INTERNAL
from actors.outcome import STATUS_OF, TERMINAL, DisconnectStage, ErrorInfo, Reason, Status
from actors.providers.base import FailureKind, UpstreamFailure, failure_reason
from actors.run_turn import _UNAVAILABLE
from store.records import Stored
from web.dialects.openai_chat import FINISH_REASONS
from web.errors import ending_error

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reference" / "outcomes.md").read_text("utf-8")

OWN_ERRORS = {
    Reason.INTERNAL_ERROR: INTERNAL,
    Reason.UPSTREAM_TRUNCATED: decide(None, None).error,
}
"""What the actors say of ends that are their own to explain."""


def rows(heading: str) -> dict[str, list[str]]:
    """The table under a heading, its rows' other cells by the first one."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first.strip("`"): rest for first, *rest in cells}


def shown(cell: str) -> set[str]:
    """The HTTP statuses that a cell names."""
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
    """The statuses that a client which does not stream can get for this reason."""
    if reason in FINISH_REASONS:
        return {"200"}
    kinds = [kind for kind in FailureKind if failure_reason(kind) is reason]
    if reason is Reason.STORE_UNAVAILABLE:
        return {str(_UNAVAILABLE.status), str(conversation_busy("").status)}
    if not kinds:
        return {str(ending_error(ended(reason, OWN_ERRORS.get(reason))).status)}
    return {status for kind in kinds for status in failure_statuses(kind)}


def failure_statuses(kind: FailureKind) -> set[str]:
    """What a failure of this kind is to the client, for whatever the provider answered."""
    given: list[int | None] = [None]
    if kind is FailureKind.REJECTED:
        given = list(range(400, 500))
    elif kind is FailureKind.SERVER_ERROR:
        given = [None, *range(500, 600)]
    found = {client_error(UpstreamFailure(kind, "", status=status)).status for status in given}
    return {"4xx" if 400 <= status < 500 else str(status) for status in found}


def test_every_status_is_there_and_says_whether_it_is_terminal() -> None:
    assert {name: cells[0] for name, cells in rows("Statuses").items()} == {
        status.value: "yes" if status in TERMINAL else "no" for status in Status
    }


def test_every_reason_is_there_with_its_status() -> None:
    assert {name: cells[0].strip("`") for name, cells in rows("Reasons").items()} == {
        reason.value: STATUS_OF[reason].value for reason in Reason
    }


def test_every_reason_has_the_http_status_that_clients_get() -> None:
    for name, cells in rows("Reasons").items():
        told = http_statuses(Reason(name))
        # A 499 is for the record; what is sent in its place is named beside it.
        on_the_wire = {"409"} if name == "cancel_requested" else set()
        assert shown(cells[3]) == told | on_the_wire, name


def test_every_cell_says_something() -> None:
    for heading in ("Statuses", "Reasons", "Disconnect stages", "Where the record is", "Bad days"):
        for name, cells in rows(heading).items():
            assert all(cells), (heading, name)


def test_every_stage_is_there() -> None:
    assert rows("Disconnect stages").keys() == {stage.value for stage in DisconnectStage}


def test_every_resting_place_is_there() -> None:
    assert rows("Where the record is").keys() == set(get_args(Stored))


def test_every_code_of_a_timeout_is_there() -> None:
    cell = rows("Reasons")["upstream_timeout"][2]
    kinds = {k for k in FailureKind if failure_reason(k) is Reason.UPSTREAM_TIMEOUT}
    assert set(re.findall(r"`(\w+)`", cell)) == {kind.value for kind in kinds}


def test_every_bad_day_has_its_test() -> None:
    for name, cells in rows("Bad days").items():
        assert (ROOT / cells[-1].strip("`")).is_file(), name
