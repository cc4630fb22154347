"""Tests of the playhead: steps become due at the right times."""

from hypothesis import given
from hypothesis import strategies as st

from actors.providers.simulated.options.behaviour import Fault, FaultKind
from actors.providers.simulated.steps import MOST_AT_ONCE, Playhead, Step
from actors.turn.chunks import TextChunk

steps = st.builds(
    Step,
    after_s=st.sampled_from([0.0, 0.1, 0.3, 1e-9]),
    act=st.just(TextChunk("a")) | st.just(Fault(kind=FaultKind.TORN)),
    tokens=st.just(1),
)


@given(st.lists(steps, max_size=200), st.floats(0, 2), st.floats(0, 1e6))
def test_steps_are_taken_once_in_order_and_not_early(
    script: list[Step], pause_s: float, started_at: float
) -> None:
    playhead = Playhead(tuple(script))
    found: list[Step] = []
    now = started_at
    while not playhead.ended():
        # As a caller computes it: adding and subtracting floats doesn't always give the same value.
        now = max(now + pause_s, started_at + playhead.due_s)
        batch = playhead.take(now - started_at)
        assert 1 <= len(batch) <= MOST_AT_ONCE
        assert len(batch) == 1 or not any(isinstance(step.act, Fault) for step in batch)
        found += batch
        assert started_at + sum(step.after_s for step in found) <= now + 1e-6
    assert found == script


def test_a_pause_does_not_make_the_answer_longer() -> None:
    playhead = Playhead(tuple(Step(1.0, TextChunk("a"), 1) for _ in range(5)))
    assert len(playhead.take(3.5)) == 3
    assert playhead.due_s == 4.0
