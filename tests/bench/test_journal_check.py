"""Tests of the comparison of a relay's stored turns with the traffic."""

import pytest
from msgspec.structs import replace

from bench.journal import Turn, Usage, compare
from bench.plan import Sample
from bench.spec import Spec, text

SPEC = Spec(chunks=10, seed=2)
TEXT = text(2, 10).decode()
WHOLE = Sample(turn_id="t", spec=SPEC, whole=True, received=len(TEXT))
KEPT = Turn("t", "completed", "stop", TEXT, Usage(10, estimated=False))
LEFT = Sample(turn_id="t", spec=SPEC, whole=False, received=8, sent=4)
INTERRUPTED = Turn("t", "incomplete", "client_disconnected", TEXT[:12])


def test_matching_turn_passes() -> None:
    assert compare(KEPT, WHOLE) is None
    assert compare(INTERRUPTED, LEFT) is None


@pytest.mark.parametrize(
    "turn",
    [
        replace(KEPT, status="in_progress", reason=None),
        replace(KEPT, reason="length"),
        replace(KEPT, text=TEXT[:-1]),
        replace(KEPT, usage=None),
        replace(KEPT, usage=Usage(9, estimated=False)),
        replace(KEPT, usage=Usage(10, estimated=True)),
    ],
)
def test_complete_turn_that_differs_is_found(turn: Turn) -> None:
    assert compare(turn, WHOLE) is not None


@pytest.mark.parametrize(
    "turn",
    [
        replace(INTERRUPTED, status="completed", reason="stop"),
        replace(INTERRUPTED, text=TEXT[:4]),
        replace(INTERRUPTED, text=TEXT[:20]),
        replace(INTERRUPTED, text="x" * 12),
        replace(INTERRUPTED, text=None),
    ],
)
def test_interrupted_turn_that_differs_is_found(turn: Turn) -> None:
    assert compare(turn, LEFT) is not None
