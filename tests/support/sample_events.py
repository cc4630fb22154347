"""Sample events for journals, and Hypothesis strategies for events and chunks."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar, get_args

from hypothesis import strategies as st

from actors.turn import events
from actors.turn.chunks import (
    AnnotationChunk,
    CallKind,
    Chunk,
    NativeItemChunk,
    ReasoningChunk,
    ReasoningStateChunk,
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

NATIVE = {
    "anthropic": '{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}',
    "openai-responses": (
        '{"type":"web_search_call","id":"ws_1","status":"completed",'
        '"action":{"type":"search","query":"q"}}'
    ),
}
"""A native item of each API that has some."""

ANNOTATION = (
    '{"type":"url_citation","url":"https://a.test","title":"A","start_index":0,"end_index":1}'
)

apis = st.sampled_from(list(NATIVE))
kinds = st.sampled_from(get_args(CallKind))

answer_events: st.SearchStrategy[AnyEvent] = st.one_of(
    st.builds(events.Text, short_text),
    st.builds(events.Reasoning, short_text),
    st.builds(events.ReasoningState, apis, st.just('{"signature":"s"}')),
    st.builds(events.Refusal, short_text),
    st.builds(events.MessagePhase, st.sampled_from(["commentary", "final_answer"])),
    st.builds(events.Annotation, st.just(ANNOTATION)),
    st.sampled_from([events.NativeItem(*native) for native in NATIVE.items()]),
    st.builds(
        events.ToolCallDelta,
        st.integers(0, 3),
        st.none() | short_text,
        st.none() | short_text,
        short_text,
        kinds,
    ),
    st.builds(events.ToolCall, st.integers(0, 3), short_text, short_text, short_text, kinds),
    st.builds(events.Warning, st.just("half_time"), short_text),
    st.builds(events.RouteChanged, st.just("spare"), st.just("spare-model"), st.just("refused")),
)
"""Events allowed between `started` and the end, except `retry`, `replace` and `recovered`."""

answer_chunks: st.SearchStrategy[Chunk] = st.one_of(
    st.builds(TextChunk, short_text),
    st.builds(ReasoningChunk, short_text),
    st.builds(ReasoningStateChunk, apis, st.just("{}")),
    st.builds(RefusalChunk, short_text),
    st.builds(AnnotationChunk, st.just("{}")),
    st.builds(NativeItemChunk, apis, st.just("{}")),
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
