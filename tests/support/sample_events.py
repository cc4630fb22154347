"""Sample events for journals, and Hypothesis strategies for events and chunks."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from hypothesis import strategies as st

from actors.turn import events
from actors.turn.chunks import (
    Chunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.events import AnyEvent, Ended, Started
from actors.turn.outcome import STATUS_OF, ErrorInfo, Reason, Usage

STARTED = Started(
    turn_id="turn_1",
    model="large",
    provider="main",
    upstream_model="main-model",
    created_at=1_700_000_000.5,
)
USAGE = Usage(
    input_tokens=7,
    output_tokens=3,
    cached_input_tokens=2,
    cache_write_tokens=1,
    reasoning_tokens=1,
)


def ended(
    reason: Reason = Reason.STOP, *, usage: Usage | None = USAGE, error: ErrorInfo | None = None
) -> Ended:
    """Return the `ended` event of a turn with this reason."""
    return Ended(
        status=STATUS_OF[reason],
        reason=reason,
        usage=usage,
        cost_micros=12,
        provider="main",
        upstream_model="main-model",
        created_at=1_700_000_000.5,
        first_token_at=1_700_000_001.0,
        ended_at=1_700_000_002.0,
        error=error,
    )


short_text = st.text(st.characters(codec="utf-8"), max_size=6)

answer_events: st.SearchStrategy[AnyEvent] = st.one_of(
    st.builds(events.Text, short_text),
    st.builds(events.Reasoning, short_text),
    st.builds(events.Refusal, short_text),
    st.builds(
        events.ToolCallDelta,
        st.integers(0, 3),
        st.none() | short_text,
        st.none() | short_text,
        short_text,
    ),
    st.builds(events.ToolCall, st.integers(0, 3), short_text, short_text, short_text),
    st.builds(events.Warning, st.just("half_time"), short_text),
    st.builds(events.RouteChanged, st.just("spare"), st.just("spare-model"), st.just("refused")),
    st.builds(events.Replace, short_text, st.just("guard")),
)
"""Events allowed between `started` and the end, except `retry` and `recovered`."""

answer_chunks: st.SearchStrategy[Chunk] = st.one_of(
    st.builds(TextChunk, short_text),
    st.builds(ReasoningChunk, short_text),
    st.builds(RefusalChunk, short_text),
    st.builds(
        ToolCallChunk,
        st.integers(0, 2),
        st.none() | short_text,
        st.none() | short_text,
        short_text,
    ),
    st.builds(SkippedChunk, st.just("<html>")),
    st.just(UsageChunk(USAGE)),
)
"""Chunks that a provider may send before its finish."""


T = TypeVar("T")


def cut_at(items: Sequence[T], cuts: Sequence[int]) -> list[list[T]]:
    """Split `items` into batches at these positions (modulo the number of items plus one)."""
    marks = sorted({cut % (len(items) + 1) for cut in cuts} | {0, len(items)})
    return [list(items[a:b]) for a, b in pairwise(marks)]
