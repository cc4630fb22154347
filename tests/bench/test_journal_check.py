"""The comparison of a relay's journal with the wire."""

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
CUT = Turn("t", "incomplete", "client_disconnected", TEXT[:12])


def test_a_turn_that_says_what_happened_passes() -> None:
    assert compare(KEPT, WHOLE) is None
    assert compare(CUT, LEFT) is None


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
def test_a_whole_turn_that_differs_is_found(turn: Turn) -> None:
    assert compare(turn, WHOLE) is not None


@pytest.mark.parametrize(
    "turn",
    [
        replace(CUT, status="completed", reason="stop"),
        replace(CUT, text=TEXT[:4]),
        replace(CUT, text=TEXT[:20]),
        replace(CUT, text="x" * 12),
        replace(CUT, text=None),
    ],
)
def test_a_cut_turn_that_differs_is_found(turn: Turn) -> None:
    assert compare(turn, LEFT) is not None
