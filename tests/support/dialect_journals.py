"""Strategies for journals of complete turns, and checks of their streams in any dialect."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from hypothesis import strategies as st

from actors.turn import events
from actors.turn.events import AnyEvent, Ended
from actors.turn.outcome import Reason
from tests.support.sample_events import STARTED, answer_events, ended
from web.registry import SURFACES, load
from web.service import Surface


class _Frame(Protocol):
    @property
    def id(self) -> str: ...


F = TypeVar("F", bound=_Frame)

DIALECTS = {s.dialect.name: s.dialect for s in load(SURFACES, Surface) if s.dialect}
"""All registered dialects by name."""

ends = st.sampled_from(list(Reason)).map(ended)


def _with_recoveries(parts: list[list[AnyEvent]], end: Ended) -> list[AnyEvent]:
    journal: list[AnyEvent] = [STARTED, *parts[0]]
    for epoch, part in enumerate(parts[1:], 1):
        journal += [events.Recovered(epoch), *part]
    return [*journal, end]


recovered_journals = st.builds(
    _with_recoveries, st.lists(st.lists(answer_events, max_size=5), min_size=1, max_size=4), ends
)
cuts = st.lists(st.integers(0, 99), max_size=5)
"""Positions at which a journal is split into batches."""


def check_after_a_crash(
    frames_of: Callable[[list[AnyEvent], str | None], list[F]],
    content: list[AnyEvent],
    kept: int,
    seen: int,
) -> None:
    """Check that a client cannot confuse frames after a crash with frames lost in it.

    The client saw the first `seen` + 1 frames of `content`, of which only `kept` events were
    journalled. It resumes after the recovery. `frames_of` renders a journal after a cursor.
    """
    live = frames_of([STARTED, *content], None)[: seen + 1]
    after = [STARTED, *content[:kept], events.Recovered(1), ended(Reason.OWNER_LOST)]
    whole = frames_of(after, None)
    resumed = frames_of(after, live[-1].id if live else None)
    new = [frame for frame in whole if frame.id.endswith("@1")]
    assert new, whole
    assert resumed[-len(new) :] == new, resumed
    assert len({frame.id for frame in live + resumed}) == len(live + resumed), resumed
    old = live + resumed[: -len(new)]
    kept_frames = [frame for frame in whole if frame not in new]
    assert old[: len(kept_frames)] == kept_frames, old
